using System.Buffers;
using MergeKit.Core.Diagnostics;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>Builds documents from YamlDotNet's events, with places, and within <see cref="YamlLimits"/>: a file of aliases to aliases, or one
/// nested a million deep, is refused before it costs anything.</summary>
internal sealed class YamlComposer
{
    private const string TagPrefix = "tag:yaml.org,2002:";
    private static readonly SearchValues<char> Forbidden = SearchValues.Create(
        [.. Enumerable.Range(0, 0xA0).Select(code => (char)code).Where(c => char.IsControl(c) && c is not ('\t' or '\n' or '\r' or '\u0085')), '\uFFFE', '\uFFFF']);

    private readonly string _file;
    private readonly ProblemList _problems;
    private readonly Parser _parser;
    private readonly Dictionary<string, YamlNode?> _anchors = new(StringComparer.Ordinal);

    private YamlComposer(string file, string text, ProblemList problems) =>
        (_file, _problems, _parser) = (file, problems, new Parser(new StringReader(text)));

    /// <summary>All documents that have content.</summary>
    /// <param name="file">The name used in messages.</param>
    /// <param name="text">The file's text.</param>
    /// <param name="problems">Takes duplicate keys and unknown tags.</param>
    /// <exception cref="InputException">The text is not YAML, or exceeds a limit.</exception>
    public static IReadOnlyList<YamlDocument> Compose(string file, string text, ProblemList problems)
    {
        if (text.Length > YamlLimits.Bytes)
            throw new InputException($"{file}: the YAML file is larger than {YamlLimits.Bytes >> 20} MB, which no recipe needs");
        RefuseControlCharacters(file, text);
        return new YamlComposer(file, text, problems).Documents(text);
    }

    /// <summary>YAML allows none; a NUL would even pass for the end of the text and hide the rest.</summary>
    private static void RefuseControlCharacters(string file, string text)
    {
        var at = text.AsSpan().IndexOfAny(Forbidden);
        if (at < 0)
            return;
        var lines = text.AsSpan(0, at).Count('\n');
        var column = at - text.AsSpan(0, at).LastIndexOf('\n');
        throw new InputException([Problem.Error($"this is not valid YAML: the character U+{(int)text[at]:X4} may not stand in it", new SourceLocation(file, lines + 1, column))]);
    }

    private List<YamlDocument> Documents(string text)
    {
        var documents = new List<YamlDocument>();
        Next();
        var from = 0;
        for (var count = 0; Next() is not StreamEnd; count++)
        {
            var start = (DocumentStart)_parser.Current!;
            if (count == YamlLimits.Documents)
                throw Fail($"more than {YamlLimits.Documents} YAML documents in one file", start.Start);
            if (count > 0)
                from = (int)(start.IsImplicit ? start.Start.Index : start.End.Index);
            _anchors.Clear();
            Next();
            var root = Node(1);
            var to = (int)Next().Start.Index;
            if (!root.IsNull)
                documents.Add(new YamlDocument(root, Slice(text, from, to)));
        }

        return documents;
    }

    private static string Slice(string text, int from, int to)
    {
        to = Math.Clamp(to, 0, text.Length);
        from = Math.Clamp(from, 0, to);
        var own = text[from..to];
        return own.StartsWith("\r\n", StringComparison.Ordinal) ? own[2..] : own.StartsWith('\n') ? own[1..] : own;
    }

    private YamlNode Node(int depth)
    {
        var current = _parser.Current!;
        if (depth > YamlLimits.Depth)
            throw Fail($"the YAML is nested more than {YamlLimits.Depth} levels deep", current.Start);
        if (current is AnchorAlias alias)
            return Alias(alias);
        var anchor = current is NodeEvent content ? content.Anchor : throw Fail(
            "this is not valid YAML: a value is missing",
            current.Start);
        if (!anchor.IsEmpty)
            _anchors[anchor.Value] = null;
        YamlNode node = current switch
        {
            Scalar scalar => ScalarNode(scalar),
            SequenceStart start => SequenceNode(start, depth),
            MappingStart start => MappingNode(start, depth),
            _ => throw Fail("unexpected YAML content", current.Start),
        };
        if (!anchor.IsEmpty)
            _anchors[anchor.Value] = node;
        return node;
    }

    private YamlNode Alias(AnchorAlias alias)
    {
        if (!_anchors.TryGetValue(alias.Value.Value, out var node))
            throw Fail(
                $"the YAML alias '*{Quoting.Shorten(alias.Value.Value)}' has no anchor '&{Quoting.Shorten(alias.Value.Value)}' before it",
                alias.Start);
        return node?.At(At(alias.Start))
            ?? throw Fail($"the YAML alias '*{Quoting.Shorten(alias.Value.Value)}' stands inside what it stands for", alias.Start);
    }

    private YamlScalar ScalarNode(Scalar scalar)
    {
        var at = At(scalar.Start);
        var plain = YamlScalars.ResolvePlain(scalar.Value);
        if (scalar.Tag.IsEmpty)
            return scalar.Style == ScalarStyle.Plain ? Make(plain) : Make((ScalarKind.Text, 0));
        var tag = scalar.Tag.IsNonSpecific ? "!" : scalar.Tag.Value;
        (ScalarKind, double)? tagged = (tag, plain.Kind) switch
        {
            (TagPrefix + "str" or "!", _) => (ScalarKind.Text, 0),
            (TagPrefix + "null", ScalarKind.Null) or (TagPrefix + "bool", ScalarKind.Boolean) or (TagPrefix + "int", ScalarKind.Integer) => plain,
            (TagPrefix + "float", ScalarKind.Float or ScalarKind.Integer) => (ScalarKind.Float, plain.Number),
            (TagPrefix + "float", ScalarKind.Text) when YamlScalars.TryNumberFromText(scalar.Value, out var number) => (ScalarKind.Float, number),
            _ => null,
        };
        if (tagged is null)
            _problems.Error(
                $"the YAML tag '{Quoting.Shorten(tag)}' cannot be applied to '{Quoting.Shorten(scalar.Value)}' here; leave it out",
                at);
        return Make(tagged ?? (ScalarKind.Text, 0));

        YamlScalar Make((ScalarKind Kind, double Number) value) => new(scalar.Value, value.Kind, value.Number, at);
    }

    private YamlSequence SequenceNode(SequenceStart start, int depth)
    {
        CheckTag(start.Tag, "seq", start.Start);
        var items = new List<YamlNode>();
        var (size, deepest) = (1L, 0);
        while (Next() is not SequenceEnd)
        {
            items.Add(Node(depth + 1));
            Grow(items[^1], depth, ref size, ref deepest);
        }

        return new YamlSequence(items, At(start.Start), size, deepest + 1);
    }

    private YamlMapping MappingNode(MappingStart start, int depth)
    {
        CheckTag(start.Tag, "map", start.Start);
        var entries = new MappingEntries(_problems);
        var (size, deepest) = (1L, 0);
        while (Next() is not MappingEnd)
        {
            var merges = _parser.Current is Scalar { Style: ScalarStyle.Plain, Value: "<<", Tag.IsEmpty: true };
            var key = Node(depth + 1);
            Grow(key, depth, ref size, ref deepest);
            if (Next() is MappingEnd)
                throw Fail(
                    "this is not valid YAML: in the mapping that begins here a key or a value is missing beside a colon",
                    start.Start);
            var value = Node(depth + 1);
            Grow(value, depth, ref size, ref deepest);
            if (merges)
                entries.Merge(value);
            else
                entries.Add(key, value);
        }

        return new YamlMapping(entries.Finish(), At(start.Start), size, deepest + 1);
    }

    private void Grow(YamlNode part, int depth, ref long size, ref int deepest)
    {
        size += part.Size;
        deepest = Math.Max(deepest, part.Depth);
        if (size > YamlLimits.Nodes)
            throw new InputException([Problem.Error($"the YAML has more than {YamlLimits.Nodes} values once its aliases are written out", part.Location)]);
        if (depth + deepest > YamlLimits.Depth)
            throw new InputException([Problem.Error($"the YAML is nested more than {YamlLimits.Depth} levels deep once its aliases are written out", part.Location)]);
    }

    private void CheckTag(TagName tag, string allowed, Mark mark)
    {
        if (!tag.IsEmpty && !tag.IsNonSpecific && tag.Value != TagPrefix + allowed)
            _problems.Error($"the YAML tag '{Quoting.Shorten(tag.Value)}' is not known; leave it out", At(mark));
    }

    private ParsingEvent Next()
    {
        try
        {
            return _parser.MoveNext() ? _parser.Current! : throw new InputException($"{_file}: the YAML text ends in the middle");
        }
        catch (YamlException error)
        {
            throw Fail($"this is not valid YAML: {char.ToLowerInvariant(error.Message[0])}{error.Message[1..]}", error.Start);
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or FormatException or OverflowException or IndexOutOfRangeException)
        {
            throw Fail(
                "this is not valid YAML: the text breaks off here; every line of a [list] or {mapping} that runs over several lines must be indented further than its key",
                _parser.Current?.End ?? Mark.Empty);
        }
    }

    private InputException Fail(string message, Mark mark) => new([Problem.Error(message, At(mark))]);

    private SourceLocation At(Mark mark) => new(_file, (int)Math.Max(1, mark.Line), (int)Math.Max(1, mark.Column));
}
