using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>Every error, its place and what it says.</summary>
public class RecipeErrorTests
{
    private const string Head = "merge_method: linear\n";
    private const string Models = Head + "models:\n  - model: a\n";

    /// <summary>Recipe, line, column and parts of the message.</summary>
    public static TheoryData<string, int, int, string[]> Errors() => new()
    {
        { "merge_metod: linear\nmodels: [{model: a}]", 1, 1, ["unknown key 'merge_metod' in a recipe", "Did you mean 'merge_method'?"] },
        { "models: [{model: a}]", 1, 1, ["'merge_method' is missing"] },
        { Models + "frobnicate_all: 1", 4, 1, ["unknown key 'frobnicate_all'", "Valid keys: merge_method, models"] },
        { Models + "    wieght: 1", 4, 5, ["unknown key 'wieght' in an entry of 'models'", "Valid keys: model, parameters"] },
        { Models + "    layer_range: [0, 4]", 4, 5, ["unknown key 'layer_range'", "belongs in a source of a slice"] },
        { Models + "    paramters: {weight: 1}", 4, 5, ["Did you mean 'parameters'?"] },
        { Head + "models:\n  - parameters: {weight: 1}", 3, 5, ["'model' is missing in an entry of 'models'"] },
        { Head + "models:\n  - model:\n", 3, 5, ["'model' is missing"] },
        { Head + "models: a", 2, 9, ["'models' is the text 'a'", "wanted a list"] },
        { Head + "models: {model: a}", 2, 9, ["'models' is a mapping with the key model", "wanted a list"] },
        { Head + "models: []", 2, 9, ["'models' is an empty list"] },
        { Head + "models: [a]", 2, 10, ["an entry of 'models' must be a mapping", "the text 'a'"] },
        { Head + "models: [{model: [a]}]", 2, 18, ["'model' is a list of 1 item", "wanted text"] },
        { Head + "models: [{model: 7}]", 2, 18, ["'model' is the number 7", "in quotes"] },
        { Head, 1, 1, ["exactly one of 'models', 'slices', 'modules'", "there is none"] },
        { Models + "slices: [{sources: [{model: a, layer_range: [0, 1]}]}]", 4, 1, ["exactly one", "'models' and 'slices'"] },
        { Head + "modules: {default: {}}", 2, 20, ["exactly one of 'models', 'slices'"] },
        { Head + "modules: {}", 2, 10, ["'modules' is an empty mapping"] },
        { Head + "modules: [a]", 2, 10, ["'modules' is a list", "mapping of names"] },
        { Models + "merge_method: slerp", 4, 1, ["'merge_method' stands twice", "line 1"] },
        { "merge_method: [linear]\nmodels: [{model: a}]", 1, 15, ["'merge_method' is a list"] },
        { "merge_method:\nmodels: [{model: a}]", 1, 1, ["'merge_method' is missing"] },
        { Models + "parameters:\n  weight: heavy", 5, 11, ["'weight' is the text 'heavy'", "wanted a number"] },
        { Models + "parameters:\n  weight: []", 5, 11, ["'weight' is an empty list"] },
        { Models + "parameters:\n  weight:", 5, 10, ["'weight' is empty"] },
        { Models + "parameters:\n  weight: .nan", 5, 11, ["'weight' is the number .nan", "finite"] },
        { Models + "parameters:\n  weight: [1, .inf]", 5, 15, ["finite"] },
        { Models + "parameters:\n  weight: 1e999", 5, 11, ["finite"] },
        { Models + "parameters:\n  weight: [1, true]", 5, 15, ["'weight' is true"] },
        { Models + "parameters:\n  weight: [1, {value: 1}]", 5, 15, ["'weight' is a mapping"] },
        { Models + "parameters:\n  weight: [1, [2]]", 5, 15, ["'weight' is a list"] },
        { Models + "parameters:\n  weight: [{filter: mlp}]", 5, 12, ["'value' is missing in a condition"] },
        { Models + "parameters:\n  weight: [{filtr: mlp, value: 1}]", 5, 13, ["unknown key 'filtr'", "Did you mean 'filter'?"] },
        { Models + "parameters:\n  weight: [{filter: 3, value: 1}]", 5, 21, ["'filter' is the number 3"] },
        { Models + "parameters: 3", 4, 13, ["'parameters' is the number 3"] },
        { Models + "parameters: {on: 3}", 4, 14, ["a name in 'parameters' is true"] },
        { Models + "dtype: bfloat17", 4, 8, ["'dtype' is 'bfloat17'", "Did you mean 'bfloat16'?"] },
        { Models + "out_dtype: 16", 4, 12, ["'out_dtype' is the number 16"] },
        { Models + "name: a/b", 4, 7, ["'name' is 'a/b'"] },
        { Models + "name: ..", 4, 7, ["'name' is '..'"] },
        { Models + "chat_template: chatnl", 4, 16, ["'chat_template' is 'chatnl'", "Did you mean 'chatml'?"] },
        { Models + "chat_template: no brace but more than twenty characters", 4, 16, ["with a brace"] },
        { Models + "chat_template: [chatml]", 4, 16, ["'chat_template' is a list"] },
        { Models + "tokenizer_source: union\ntokenizer: {source: base}", 4, 1, ["'tokenizer' and 'tokenizer_source'"] },
        { Models + "tokenizer: union", 4, 12, ["the tokenizer setting must be a mapping"] },
        { Models + "tokenizer: {pad_to_multiple_of: 0}", 4, 33, ["whole number of at least 1"] },
        { Models + "tokenizer: {tokens: {x: {force: 1}}}", 4, 33, ["'force' is the number 1"] },
        { Models + "tokenizer: {tokens: {x: {source: {kind: one}}}}", 4, 41, ["'kind' is 'one'"] },
        { Models + "tokenizer: {tokens: {x: {source: {kind: zero, model: a}}}}", 4, 47, ["'model' has no meaning"] },
        { Models + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a}}}}", 4, 34, ["exactly one of 'token' and 'token_id'"] },
        { Models + "tokenizer: {tokens: {x: {source: {kind: model_token, token: a}}}}", 4, 34, ["'model' is missing"] },
        { Models + "tokenizer: {tokens: {x: {source: {token: a}}}}", 4, 35, ["'token' has no meaning"] },
        { Models + "base_model: a+b+c", 4, 13, ["only one adapter"] },
        { Models + "base_model: a@b@c", 4, 13, ["only one '@'"] },
        { Models + "base_model: +b", 4, 13, ["path is empty"] },
        { Models + "base_model: a@", 4, 13, ["revision", "empty"] },
        { Models + "base_model: {lora: b}", 4, 13, ["'model' is missing in a model reference"] },
        { Models + "base_model: {model: {revision: b}}", 4, 21, ["'path' is missing in a model path"] },
        { Slice("[0]"), 2, 45, ["'layer_range' is a list of 1 item"] },
        { Slice("[2, 2]"), 2, 45, ["'layer_range' is [2, 2]"] },
        { Slice("[-1, 2]"), 2, 46, ["start of 'layer_range' is the number -1"] },
        { Slice("[0, 1.5]"), 2, 49, ["end of 'layer_range' is the number 1.5"] },
        { Slice("0-4"), 2, 45, ["'layer_range' is the text '0-4'"] },
        { Head + "slices: [{sources: [{model: a}]}]", 2, 21, ["'layer_range' is missing"] },
        { Head + "slices: [{sources: []}]", 2, 20, ["'sources' is an empty list"] },
        { Head + "slices: [{base_model: a}]", 2, 10, ["'sources' is missing"] },
        { Head + "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 1]}]}]", 2, 54, ["equally many layers", "'b' has 1 [0, 1]"] },
        { "base_model: a\nexperts: [{source_model: a}]", 2, 11, ["expert 0", "positive_prompts"] },
        { "ensemble: {members: [a]}", 1, 1, ["'models' is missing", "an ensemble document"] },
        { "evaluate: {model: a}", 1, 11, ["evaluate", "list"] },
        { "evaluate:\n- file: a.txt", 2, 3, ["unknown key 'file'", "entry of 'evaluate'"] },
        { "evaluate:\n- data: a.txt\n  limit: 0", 3, 10, ["limit", "0"] },
        { "search: {}", 1, 1, ["'tune' is missing"] },
        { "search: {}", 1, 9, ["'search' is an empty mapping"] },
        { "- a", 1, 1, ["a recipe must be a mapping", "a list of 1 item"] },
        { "just words", 1, 1, ["a recipe must be a mapping", "the text 'just words'"] },
        { "", 1, 1, ["empty"] },
        { "# only a comment\n", 1, 1, ["empty"] },
        { Head + "models:\n  - model: a\n   parameters: [\n", 4, 4, ["YAML"] },
        { Models + "dtype: !!python/object:os.system x", 4, 8, ["YAML tag"] },
        { Models + "parameters: {<<: 3}", 4, 18, ["merge key '<<'"] },
        { Models + "parameters: *nowhere", 4, 13, ["alias '*nowhere'"] },
        { Models + "parameters: &a {x: *a}", 4, 20, ["alias '*a'"] },
        { Models + "dtype: float32\0\nnonsense", 4, 15, ["YAML", "U+0000"] },
        { Head + "models:\n  - : a\n", 3, 5, ["YAML", "missing beside a colon"] },
        { Models + "parameters: {weight: [0.1,\n0.2]}", 4, 26, ["YAML", "must be indented"] },
        { Models + "? [a, b]\n: 1", 4, 3, ["a key must be a word"] },
        { "name: one\n" + Models + "---\nname: one\n" + Models, 6, 7, ["'one' stands twice", "line 1"] },
        { Models + "---\n" + Models, 5, 1, ["only one document", "'name'"] },
        { "name: x\n" + Head + "models: [{model: y}]\n---\nname: y\n" + Head + "models: [{model: x}]", 1, 7, ["circle", "x -> y -> x"] },
        { "name: x\n" + Head + "models: [{model: x+lora}]", 1, 7, ["circle", "x -> x"] },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public void NamesThePlaceAndTheReason(string yaml, int line, int column, string[] parts)
    {
        var error = Assert.Throws<InputException>(() => RecipeReader.Parse("r.yml", yaml));
        var matching = error.Problems.Where(problem => parts.All(part => problem.Message.Contains(part, StringComparison.OrdinalIgnoreCase))).ToList();
        Assert.True(matching.Count > 0, $"none has all of [{string.Join(" | ", parts)}]: {error.Message}");
        Assert.Contains(matching, problem => problem.Location == new SourceLocation("r.yml", line, column));
    }

    [Fact]
    public void AllProblemsComeAtOnceInTheOrderOfTheFile()
    {
        const string Yaml = "merge_methd: linear\nmodels:\n  - modl: a\n  - model: b\n    parameters: {weight: heavy}\ndtype: q\n---\nname: n\nmerge_method: x\nmodels: 3\n";
        var error = Assert.Throws<InputException>(() => RecipeReader.Parse("r.yml", Yaml));
        Assert.Equal([1, 3, 5, 6, 10], error.Problems.Select(problem => problem.Location!.Value.Line));
    }

    [Fact]
    public void AThousandProblemsAreCutShort()
    {
        var yaml = Models + string.Concat(Enumerable.Range(0, 1000).Select(i => $"q{i}: 1\n"));
        var error = Assert.Throws<InputException>(() => RecipeReader.Parse("r.yml", yaml));
        Assert.Equal(101, error.Problems.Count);
    }

    [Fact]
    public void FilesThatCannotBeReadAreNamed()
    {
        using var folder = new ScratchFolder();
        Assert.Contains("no such recipe", Assert.Throws<InputException>(() => RecipeReader.Read(folder.File("none.yml"))).Message, StringComparison.Ordinal);
        Assert.Contains("a folder", Assert.Throws<InputException>(() => RecipeReader.Read(folder.Path)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(folder.File("bytes.yml"), [0x61, 0xFF, 0xFE]);
        Assert.Contains("UTF-8", Assert.Throws<InputException>(() => RecipeReader.Read(folder.File("bytes.yml"))).Message, StringComparison.Ordinal);
        File.WriteAllText(folder.File("large.yml"), new string(' ', 5 << 20));
        Assert.Contains("larger than 4 MB", Assert.Throws<InputException>(() => RecipeReader.Read(folder.File("large.yml"))).Message, StringComparison.Ordinal);
        File.WriteAllText(folder.File("mark.yml"), "\uFEFF" + Models);
        Assert.Equal("linear", Assert.Single(RecipeReader.Read(folder.File("mark.yml"))).MergeMethod);
    }

    private static string Slice(string range) => Head + $"slices: [{{sources: [{{model: a, layer_range: {range}}}]}}]";

    private sealed class ScratchFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("recipes").FullName;

        public string File(string name) => System.IO.Path.Combine(Path, name);

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
