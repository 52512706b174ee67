using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.PostProcessors;

/// <summary>Builds the post-processor that a tokenizer file describes.</summary>
internal static class PostProcessorReader
{
    private static readonly string[] Known = ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"];

    /// <summary>The post-processor; without one, texts stay as they are.</summary>
    public static PostProcessor Read(JsonScope scope) => scope.IsMissing ? new OffsetsProcessor() : scope.Type switch
    {
        "Sequence" => new SequenceProcessor([.. scope.Get("processors").Items().Select(item =>
            item.IsMissing ? throw item.Fail("a post-processor") : Read(item))]),
        "ByteLevel" => new OffsetsProcessor(),
        "BertProcessing" => new BertProcessor(Token(scope.Get("sep")), Token(scope.Get("cls"))),
        "RobertaProcessing" => new RobertaProcessor(Token(scope.Get("sep")), Token(scope.Get("cls"))),
        "TemplateProcessing" => Template(scope),
        _ => throw scope.UnknownType("post-processor", Known),
    };

    private static SpecialToken Token(JsonScope scope)
    {
        var items = scope.Items().ToArray();
        return items.Length == 2
            ? new SpecialToken([items[1].RequireCount()], [items[0].RequireString()])
            : throw scope.Fail("a token and its id");
    }

    private static TemplateProcessor Template(JsonScope scope)
    {
        var table = scope.Get("special_tokens");
        var single = Pieces(scope.Get("single"), table, 1);
        var pair = scope.Get("pair");
        TemplatePiece[] both = pair.IsMissing ? [new(null, 0, 0), new(null, 1, 1)] : Pieces(pair, table, 2);
        return new TemplateProcessor(single, both, $"{scope.File}: {scope.Path}");
    }

    private static TemplatePiece[] Pieces(JsonScope scope, JsonScope table, int texts) => [.. scope.Items().Select(item =>
    {
        var (special, sequence) = (item.Get("SpecialToken"), item.Get("Sequence"));
        if (special.IsMissing == sequence.IsMissing)
            throw item.Fail("a SpecialToken or a Sequence");
        if (!special.IsMissing)
            return new TemplatePiece(Special(special.Get("id"), table), 0, special.Get("type_id").Count(0));
        var text = sequence.Get("id").RequireString() switch
        {
            "A" => 0,
            "B" when texts == 2 => 1,
            _ => throw sequence.Get("id").Fail(texts == 2 ? "'A' or 'B'" : "'A'"),
        };
        return new TemplatePiece(null, text, sequence.Get("type_id").Count(0));
    })];

    private static SpecialToken Special(JsonScope id, JsonScope table)
    {
        var entry = table.Get(id.RequireString());
        if (entry.IsMissing)
            throw id.Fail("one of the special_tokens of the template");
        var ids = entry.Get("ids").Items().Select(item => item.RequireCount()).ToArray();
        var texts = entry.Get("tokens").Items().Select(item => item.RequireString()).ToArray();
        return ids.Length == texts.Length ? new SpecialToken(ids, texts) : throw entry.Fail("as many ids as tokens");
    }
}
