namespace MergeKit.Cli.Tests.Conformance;

public class TokenizerCheckTests
{
    private static readonly Dictionary<string, int> Expected = new() { ["<s>"] = 0, ["cat"] = 1, ["dog"] = 2 };

    [Fact]
    public void Vocabulary_and_added_tokens_are_read_from_both_forms()
    {
        using var folder = new TemporaryFolder();
        Assert.Null(TokenizerCheck.ReadVocabulary(folder.Path));
        File.WriteAllText(folder.Join("tokenizer.json"), """{"added_tokens": [{"id": 2, "content": "dog"}], "model": {"vocab": {"<s>": 0, "cat": 1}}}""");
        Assert.Equal(Expected, TokenizerCheck.ReadVocabulary(folder.Path));
        File.WriteAllText(folder.Join("tokenizer.json"), """{"model": {"vocab": [["<s>", 0], ["cat", -1.5], ["dog", -2]]}}""");
        Assert.Equal(Expected, TokenizerCheck.ReadVocabulary(folder.Path));
    }

    [Fact]
    public void Tokens_that_the_base_lacks_may_have_any_number_but_the_base_s_may_not()
    {
        var renumbered = new Dictionary<string, int> { ["<s>"] = 0, ["cat"] = 2, ["dog"] = 1 };
        Assert.Empty(Compare(renumbered, new Dictionary<string, int> { ["<s>"] = 0 }));
        Assert.Single(Compare(renumbered, new Dictionary<string, int> { ["<s>"] = 0, ["cat"] = 5 }));
        Assert.Equal(2, Compare(renumbered, null).Count);
    }

    [Fact]
    public void Missing_and_extra_tokens_are_found()
    {
        Assert.Equal(2, Compare(new Dictionary<string, int> { ["<s>"] = 0, ["cat"] = 1, ["cow"] = 2 }, null).Count);
        Assert.Single(Compare(null, null));
    }

    [Fact]
    public void Rows_are_put_in_the_expected_order_by_token_and_padding_in_its_own()
    {
        var actualTokens = new Dictionary<string, int> { ["<s>"] = 0, ["dog"] = 1, ["cat"] = 3 };
        var actual = LoadedTensor.Float32("embed_tokens.weight", [5, 1], 10f, 12f, 90f, 11f, 91f);
        var findings = new List<string>();
        var ordered = TokenizerCheck.Reorder(actual, Expected, actualTokens, findings);
        Assert.Empty(findings);
        Assert.Equal([10.0, 11, 12, 90, 91], ordered!.Values());
    }

    [Fact]
    public void Ids_without_a_row_are_found()
    {
        var findings = new List<string>();
        Assert.Null(TokenizerCheck.Reorder(LoadedTensor.Float32("e", [2, 1], 1f, 2f), Expected, Expected, findings));
        Assert.Single(findings);
    }

    private static List<string> Compare(Dictionary<string, int>? actual, Dictionary<string, int>? baseTokens)
    {
        var findings = new List<string>();
        TokenizerCheck.Compare(Expected, actual, baseTokens, findings);
        return findings;
    }
}
