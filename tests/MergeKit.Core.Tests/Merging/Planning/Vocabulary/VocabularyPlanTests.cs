using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tests.Merging.Execution;
using MergeKit.Core.Tests.Tokenization;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Merging.Planning.Vocabulary;

/// <summary>What a tokenizer setting does to rows, token ids and files, and what it refuses.</summary>
public sealed class VocabularyPlanTests : IDisposable
{
    private const int Hidden = 8;
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_union_takes_each_row_from_its_token()
    {
        var (a, b) = (Model("a", 1, ["x", "y", "z"]), Model("b", 2, ["z", "w", "x", "v"]));
        var output = Run(Linear(a, b, "tokenizer_source: union"));
        Assert.Equal(["x", "y", "z", "w", "v"], Tokens(output));
        var (rows, rowsA, rowsB) = (Rows(output), Rows(a), Rows(b));
        Close(Mean(rowsA[0], rowsB[2]), rows[0]);
        Close(rowsA[1], rows[1]); // only a has it: both models give a's row
        Close(Mean(rowsA[2], rowsB[0]), rows[2]);
        Close(rowsB[1], rows[3]);
        Close(rowsB[3], rows[4]);
        Assert.Equal(5, Json(output, "config.json")["vocab_size"]!.GetValue<int>());
    }

    [Fact]
    public void Tokens_that_several_models_but_not_the_base_have_are_averaged()
    {
        var (a, b, c) = (Model("a", 1, ["x"]), Model("b", 2, ["x", "w"]), Model("c", 3, ["w", "x"]));
        var recipe = $"merge_method: linear\nbase_model: {a}\nmodels:\n" + string.Concat(new[] { a, b, c }.Select(model => $"- {{model: {model}, parameters: {{weight: 1}}}}\n")) + "tokenizer: {source: union}\ndtype: float32";
        using (var plan = InProcessMerge.Plan(recipe))
        {
            Assert.Equal(["w"], plan.Vocabulary!.Report.Averaged);
            using var again = MergePlanner.Replan(plan, plan.Recipe);
            Assert.True(again.IsExecutable, string.Join("\n", again.Problems));
            Assert.Equal(plan.Jobs.Select(job => job.ShapeText), again.Jobs.Select(job => job.ShapeText));
        }

        var rows = Rows(Run(recipe));
        var mean = Mean(Rows(b)[1], Rows(c)[0]);
        Close([.. Rows(b)[1].Zip(Rows(c)[0], mean).Select(three => (three.First + three.Second + three.Third) / 3)], rows[1]);
    }

    [Fact]
    public void Rules_give_rows_of_tokens_ids_models_outside_the_merge_and_zeros()
    {
        var (a, b, lender) = (Model("a", 1, ["x", "y", "z"]), Model("b", 2, ["x", "w", "v", "u"], rows: 9), Model("lender", 3, ["q", "x"]));
        var output = Run(Linear(a, b, $$$"""
            tokenizer:
              source: union
              tokens:
                w: {source: {kind: zero}}
                v: {source: {kind: model_token, model: {{{b}}}, token_id: 8}, force: true}
                u: {source: {kind: model_token, model: {{{lender}}}, token: q}, force: true}
                x: {source: {{{lender}}}, force: true}
            """));
        var (rows, rowsB, rowsLender) = (Rows(output), Rows(b), Rows(lender));
        Close([.. rowsB[1].Select(value => value / 2)], rows[3]);
        Close(rowsB[8], rows[4]);
        Close(rowsLender[0], rows[5]);
        Close(rowsLender[1], rows[0]);
    }

    [Fact]
    public void Another_models_tokenizer_renumbers_rows_and_special_token_ids()
    {
        var (a, b) = (Model("a", 1, ["x", "<s>", "</s>"], special: true), Model("b", 2, ["</s>", "x", "<s>", "w"], special: true));
        var output = Run(Linear(a, b, $"tokenizer: {{source: {b}, pad_to_multiple_of: 8}}"));
        Assert.Equal(["</s>", "x", "<s>", "w"], Tokens(output));
        var (rows, rowsA, rowsB) = (Rows(output), Rows(a), Rows(b));
        Assert.Equal(8, rows.Length);
        Close(Mean(rowsA[2], rowsB[0]), rows[0]);
        var mean = Enumerable.Range(0, Hidden).Select(column => rows.Take(4).Average(row => row[column])).ToArray();
        Close(mean, rows[4]);
        Close(mean, rows[7]);
        Assert.Equal((2, 0), (Json(output, "config.json")["bos_token_id"]!.GetValue<int>(), Json(output, "config.json")["eos_token_id"]!.GetValue<int>()));
        Assert.Equal("[0,2]", Json(output, "generation_config.json")["eos_token_id"]!.ToJsonString());
    }

    [Fact]
    public void A_tokenizer_may_come_from_a_folder_without_weights()
    {
        var (a, b) = (Model("a", 1, ["x", "y"]), Model("b", 2, ["x", "y"]));
        Directory.CreateDirectory(_folder.Join("only"));
        File.WriteAllText(_folder.Join("only", "tokenizer.json"), TokenizerFile(["y", "x", "n"], special: false));
        var recipe = Linear(a, b, $"tokenizer_source: {_folder.Join("only")}");
        using (var plan = InProcessMerge.Plan(recipe))
            Assert.Contains(plan.Problems, problem => problem.Message.Contains("no model has a row for 1 tokens of the result (first: 'n')", StringComparison.Ordinal));
        var rows = Rows(Run(recipe));
        Close(Mean(Rows(a)[1], Rows(b)[1]), rows[0]);
        Assert.All(rows[2], value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_forced_rule_without_a_source_and_a_base_of_equal_tokens_change_nothing()
    {
        var (a, b) = (Model("a", 1, ["x", "y"]), Model("b", 2, ["x", "y"]));
        var plain = Rows(Run(Linear(a, b, "")));
        Assert.Equal(plain, Rows(Run(Linear(a, b, "tokenizer_source: base"), "again")));
        using var plan = InProcessMerge.Plan(Linear(a, b, "tokenizer_source: base"));
        Assert.DoesNotContain("rows by token", plan.Jobs[0].Sources[0].Data.Description, StringComparison.Ordinal);
        Assert.Empty(plan.Texts);
    }

    public static TheoryData<string, string[]> Faults => new()
    {
        { "tokenizer: {source: union, tokens: {nope: {force: true}, x: {source: {kind: model_token, model: MODEL, token: nada}}, y: {source: {kind: model_token, model: MODEL, token_id: 99}}}}",
            ["recipe.yml:6:37: error: the result's vocabulary has no token 'nope'", "has no token 'nada'", "'token_id' is 99, but the embedding"] },
        { "tokenizer_source: MISSING", ["there is no such folder"] },
        { "tokenizer_source: unoin", ["Did you mean 'union'?"] },
        { "chat_template: \"{% for message in messages %}{{ message.content }\"", ["recipe.yml:6:16: error: 'chat_template' is no Jinja template"] },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void All_faults_are_named_with_their_places(string setting, string[] messages)
    {
        var (a, b) = (Model("a", 1, ["x", "y"]), Model("b", 2, ["x", "y"]));
        var recipe = Linear(a, b, setting.Replace("MODEL", b, StringComparison.Ordinal).Replace("MISSING", _folder.Join("nowhere"), StringComparison.Ordinal));
        using var plan = MergePlanner.Plan(RecipeReader.Parse("recipe.yml", recipe)[0], new PlanOptions());
        var errors = string.Join("\n", plan.Problems.Where(problem => problem.Severity == Severity.Error));
        Assert.All(messages, message => Assert.Contains(message, errors, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{", "not valid JSON")]
    [InlineData("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", "an id from 0")]
    [InlineData(null, "has no tokenizer.json")]
    public void A_broken_or_missing_base_tokenizer_is_an_error(string? text, string message)
    {
        var (a, b) = (Model("a", 1, ["x"]), Model("b", 2, ["x"]));
        File.Delete(Path.Combine(a, "tokenizer.json"));
        if (text is not null)
            File.WriteAllText(Path.Combine(a, "tokenizer.json"), text);
        using var plan = MergePlanner.Plan(RecipeReader.Parse("recipe.yml", Linear(a, b, "tokenizer_source: union"))[0], new PlanOptions());
        Assert.Contains(plan.Problems, problem => problem.Severity == Severity.Error && problem.Message.Contains(message, StringComparison.Ordinal));
    }

    [Fact]
    public void Oddities_are_warned_of()
    {
        var (a, b) = (Model("a", 1, ["x", "y", "z"]), Model("b", 2, ["x", "y", "z", "beyond"], rows: 3));
        File.Delete(Path.Combine(Model("c", 3, ["x", "y", "z"]), "tokenizer.json"));
        var recipe = $"merge_method: linear\nmodels:\n" + string.Concat(new[] { a, b, _folder.Join("c") }.Select(model => $"- {{model: {model}, parameters: {{weight: 1}}}}\n")) + "tokenizer_source: union\ndtype: float32";
        using var plan = InProcessMerge.Plan(recipe);
        var warnings = string.Join("\n", plan.Problems.Where(problem => problem.Severity == Severity.Warning));
        Assert.Contains("has 1 tokens without a row among the model's 3 (first: 'beyond')", warnings, StringComparison.Ordinal);
        Assert.Contains("has no tokenizer.json: its tokens are taken to be numbered as those of", warnings, StringComparison.Ordinal);
        Assert.Equal(3, plan.Vocabulary!.Rows);
    }

    [Fact]
    public void An_architecture_can_be_overridden()
    {
        var (a, b) = (Model("a", 1, ["x"]), Model("b", 2, ["x"]));
        string Recipe(string name) => $"merge_method: linear\nmodels:\n"
            + string.Concat(new[] { a, b }.Select(model => $"- {{model: {{model: {model}, override_architecture: {name}}}, parameters: {{weight: 1}}}}\n")) + "dtype: float32";
        Assert.Equal("MistralForCausalLM", Json(Run(Recipe("MistralForCausalLM")), "config.json")["architectures"]![0]!.GetValue<string>());
        using var plan = MergePlanner.Plan(RecipeReader.Parse("recipe.yml", Recipe("MistraForCausalLM"))[0], new PlanOptions());
        Assert.Contains(plan.Problems, problem => problem.Message.Contains("Did you mean 'MistralForCausalLM'?", StringComparison.Ordinal));
    }

    private static string Linear(string a, string b, string setting) =>
        $"merge_method: linear\nmodels:\n- {{model: {a}, parameters: {{weight: 1}}}}\n- {{model: {b}, parameters: {{weight: 1}}}}\ndtype: float32\n{setting}\n";

    private string Run(string recipe, string name = "out")
    {
        InProcessMerge.Run(recipe, _folder.Join(name));
        return _folder.Join(name);
    }

    /// <summary>A Llama whose tokens are these, each a word.</summary>
    private string Model(string name, int seed, string[] tokens, int? rows = null, bool special = false)
    {
        var folder = SyntheticModel.Llama(_folder.Join(name), seed, DType.F32, layers: 1, hidden: Hidden, vocabulary: rows ?? tokens.Length, inner: 8);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), TokenizerFile(tokens, special));
        if (!special)
            return folder;
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token": "<s>", "eos_token": "</s>"}""");
        var (bos, eos) = (Array.IndexOf(tokens, "<s>"), Array.IndexOf(tokens, "</s>"));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), $$"""{"bos_token_id": {{bos}}, "eos_token_id": [{{eos}}, {{bos}}]}""");
        var config = Json(folder, "config.json");
        (config["bos_token_id"], config["eos_token_id"]) = (bos, eos);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }

    private static string TokenizerFile(string[] tokens, bool special) => TokenizerJson.File(
        $$$"""{"type":"WordLevel","unk_token":"x","vocab":{{{{string.Join(",", tokens.Select((token, id) => $"\"{token}\":{id}"))}}}}}""",
        preTokenizer: """{"type":"WhitespaceSplit"}""",
        addedTokens: special ? $"[{string.Join(",", tokens.Select((token, id) => (token, id)).Where(pair => pair.token[0] == '<').Select(pair => TokenizerJson.Added(pair.id, pair.token)))}]" : "[]");

    private static IEnumerable<string> Tokens(string folder) => Tokenizer.Load(folder).Vocabulary.OrderBy(pair => pair.Value).Select(pair => pair.Key);

    private static JsonObject Json(string folder, string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, file)))!.AsObject();

    /// <summary>The rows of the embedding.</summary>
    private static double[][] Rows(string folder) => [.. LoadedTensor.LoadAll(folder)["model.embed_tokens.weight"].Values().Chunk(Hidden)];

    private static double[] Mean(double[] a, double[] b) => [.. a.Zip(b, (x, y) => (x + y) / 2)];

    private static void Close(double[] expected, double[] actual) => Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
}
