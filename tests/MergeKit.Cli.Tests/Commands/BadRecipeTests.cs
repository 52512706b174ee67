using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Recipes that cannot be carried out: one line for each fault, exit code 2, nothing written.</summary>
public class BadRecipeTests
{
    private const string TwoModels = "models:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n";

    public static TheoryData<string, string> Cases => new()
    {
        { "", "the file is empty" },
        { "hello", "recipe.yml:1:1" },
        { "merge_method: [", "recipe.yml:" },
        { "merge_method: tise\n" + TwoModels, "merge_method 'tise' is unknown or not built yet. Did you mean 'ties'?" },
        { "merge_method: ties\n" + TwoModels, "needs a base_model" },
        { "merge_method: slerp\nbase_model: a\n" + TwoModels, "parameter 't' has no value" },
        { "merge_methud: linear\n" + TwoModels, "merge_methud" },
        { "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: a, parameters: {weight: 2}}\n", "listed 2 times" },
        { "merge_method: linear\nmodels:\n- {model: \"a\\0b\", parameters: {weight: 1}}\n", "cannot contain a NUL character" },
        { "merge_method: linear\nmodels:\n- {model: \"a\\nb\", parameters: {weight: 1}}\n", "a\\u000ab" },
        { "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, layer_range: [0, 9]}\n", "goes past its 2 layers" },
        { "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, layer_range: [0, 99999999999]}\n", "recipe.yml:" },
        { "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, layer_range: [2, 1]}\n", "recipe.yml:" },
        { "merge_method: linear\ndtype: int8\n" + TwoModels, "dtype" },
        { "merge_method: linear\nmodels:\n- {model: user/model, parameters: {weight: 1}}\n", "not in the Hugging Face cache" },
        { Bomb, "recipe.yml:" },
    };

    private static string Bomb => "x0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + string.Concat(Enumerable.Range(1, 12).Select(i => $"x{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 9))}]\n"))
        + "merge_method: linear\n" + TwoModels;

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_is_refused(string recipe, string wanted)
    {
        using var scratch = TemporaryFolder.InMemory(10_000_000);
        foreach (var (model, seed) in new[] { ("a", 1), ("b", 2) })
            SyntheticModel.Llama(scratch.Join(model), seed, DType.F32);
        File.WriteAllText(scratch.Join("recipe.yml"), recipe);
        BadModelTests.CheckRefusal(CommandLine.Run(["run", "recipe.yml", "out", "-C", scratch.Path]), 2, wanted);
        Assert.Equal(["a", "b", "recipe.yml"], Directory.GetFileSystemEntries(scratch.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }
}
