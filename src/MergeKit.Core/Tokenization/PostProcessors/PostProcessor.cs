using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.PostProcessors;

/// <summary>Sets special tokens around one text, or around and between two.</summary>
internal abstract class PostProcessor
{
    /// <summary>The segments of the whole encoding.</summary>
    /// <param name="segments">One segment for one text, two for a pair.</param>
    /// <param name="addSpecial">Whether special tokens are wanted; type ids are set either way.</param>
    public abstract IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial);
}

/// <summary><c>Sequence</c>: one after the other.</summary>
internal sealed class SequenceProcessor(IReadOnlyList<PostProcessor> parts) : PostProcessor
{
    /// <inheritdoc/>
    public override IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial) =>
        parts.Aggregate(segments, (current, part) => part.Apply(current, addSpecial));
}

/// <summary><c>ByteLevel</c>: changes offsets alone, which are not computed here.</summary>
internal sealed class OffsetsProcessor : PostProcessor
{
    /// <inheritdoc/>
    public override IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial) => segments;
}

/// <summary><c>BertProcessing</c>: [CLS] A [SEP] B [SEP]; B and its [SEP] have type 1.</summary>
internal sealed class BertProcessor(SpecialToken sep, SpecialToken cls) : PostProcessor
{
    /// <inheritdoc/>
    public override IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial)
    {
        if (!addSpecial)
            return segments;
        var keep = segments[0].Tokens.KeepsTexts;
        var result = new List<Segment> { cls.ToSegment(0, keep), segments[0], sep.ToSegment(0, keep) };
        foreach (var other in segments.Skip(1))
            result.AddRange([other, sep.ToSegment(1, keep)]);
        return result;
    }
}

/// <summary><c>RobertaProcessing</c>: &lt;s&gt; A &lt;/s&gt; &lt;/s&gt; B &lt;/s&gt;, all of type 0.</summary>
internal sealed class RobertaProcessor(SpecialToken sep, SpecialToken cls) : PostProcessor
{
    /// <inheritdoc/>
    public override IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial)
    {
        var untyped = segments.Select(segment => segment with { TypeId = 0 }).ToArray();
        if (!addSpecial)
            return untyped;
        var keep = untyped[0].Tokens.KeepsTexts;
        var result = new List<Segment> { cls.ToSegment(0, keep), untyped[0], sep.ToSegment(0, keep) };
        foreach (var other in untyped.Skip(1))
            result.AddRange([sep.ToSegment(0, keep), other, sep.ToSegment(0, keep)]);
        return result;
    }
}

/// <summary>One place of a template: a special token, or the first (0) or second (1) text.</summary>
internal readonly record struct TemplatePiece(SpecialToken? Special, int Text, int TypeId);

/// <summary><c>TemplateProcessing</c>: texts and special tokens in the order and with the type ids of a template.</summary>
internal sealed class TemplateProcessor(IReadOnlyList<TemplatePiece> single, IReadOnlyList<TemplatePiece> pair, string where)
    : PostProcessor
{
    /// <inheritdoc/>
    public override IReadOnlyList<Segment> Apply(IReadOnlyList<Segment> segments, bool addSpecial)
    {
        if (segments.Count > 2)
            throw new InputException($"{where}: TemplateProcessing comes after another processor that adds tokens, which is not supported");
        var template = segments.Count == 1 ? single : pair;
        var keep = segments[0].Tokens.KeepsTexts;
        return [.. template.Where(piece => addSpecial || piece.Special is null)
            .Select(piece => piece.Special?.ToSegment(piece.TypeId, keep) ?? segments[piece.Text] with { TypeId = piece.TypeId })];
    }
}
