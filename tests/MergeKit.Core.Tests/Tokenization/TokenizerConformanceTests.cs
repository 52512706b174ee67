using System.Text.Json;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Every tokenizer of the engine suite, and the tokenizers of the trained models: all must be equal.</summary>
public sealed class TokenizerConformanceTests
{
    private static string Suite => Path.Combine(Repository.Fixtures, "conformance", "engine", "tokenizers");

    public static TheoryData<string> Tokenizers() =>
        new(Directory.EnumerateDirectories(Suite).Select(Path.GetFileName).Order(StringComparer.Ordinal)!);

    [Fact]
    [Trait("Suite", "engine")]
    public void The_suite_is_there() => Assert.NotEmpty(Tokenizers());

    [Theory]
    [MemberData(nameof(Tokenizers))]
    [Trait("Suite", "engine")]
    public void Ids_tokens_and_texts_equal_the_references(string name)
    {
        var folder = Path.Combine(Suite, name);
        var tokenizer = Tokenizer.Load(folder);
        using var cases = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "cases.json")));
        Assert.Equal(cases.RootElement.GetProperty("vocabulary_size").GetInt32(), tokenizer.Vocabulary.Count);
        TokenizerCases.Check(tokenizer, cases.RootElement);
    }

    /// <summary>The model sizes where the reference is there: it quotes evaluation texts, so it is no part of the repository.</summary>
    private static string[] ReferencedModels() => File.Exists(Reference) ? ["nano", "small"] : [];

    private static string Reference => Path.Combine(Repository.Fixtures, "models", "references", "tokenizer_reference.json");

    [Fact]
    [Trait("Suite", "models")]
    public void The_trained_models_tokenizers_equal_their_references() => Assert.All(ReferencedModels(), CheckAgainstReference);

    private static void CheckAgainstReference(string size)
    {
        var tokenizer = Tokenizer.Load(Path.Combine(Repository.Fixtures, "models", size, "base"));
        using var reference = JsonDocument.Parse(File.ReadAllBytes(Reference));
        foreach (var row in reference.RootElement.GetProperty("rows").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            var ids = row.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(row.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }
}
