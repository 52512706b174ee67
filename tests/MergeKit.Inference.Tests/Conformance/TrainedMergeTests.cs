using System.Globalization;
using System.Text.Json;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>Merges of trained models, made by recipe in float32 and not rounded, against the references.</summary>
[Trait("Suite", "models")]
public sealed class TrainedMergeTests(HeldOutTexts texts) : IClassFixture<HeldOutTexts>
{
    public static TheoryData<string, string, string> Cells => TrainedCells.Of("merges");

    [Theory]
    [MemberData(nameof(Cells))]
    public void Negative_log_likelihood_of_held_out_texts_is_that_of_the_reference(string size, string name, string domain)
    {
        var entry = TrainedCells.Section(size, "merges").GetProperty(name);
        using var output = new TemporaryFolder();
        var folder = Merge(size, entry, output.Join("merged"));
        using var model = LanguageModel.Open(folder);
        TrainedCells.AssertLikelihood(entry.GetProperty("cells").GetProperty(domain), model, texts.Ids(domain, TrainedCells.Folder(size, "base")));
    }

    private static string Merge(string size, JsonElement entry, string output)
    {
        var method = entry.GetProperty("method").GetString();
        if (method == "mha_to_gqa")
            return PooledHeads.Write(
                TrainedCells.Folder(size, entry.GetProperty("model").GetString()!), entry.GetProperty("kv_heads").GetInt32(), entry.GetProperty("pooling").GetString()!, output);
        var recipe = method == "linear" ? Linear(size, entry.GetProperty("models")) : TaskArithmetic(size, entry);
        using var plan = MergePlanner.Plan(RecipeReader.Parse("recipe.yml", recipe)[0], new PlanOptions());
        Assert.True(plan.IsExecutable, string.Join("\n", plan.Problems));
        new MergeRunner(plan, new MergeProgress()).Run(output, ResumeMode.Never, _ => new Dictionary<string, string>(), default);
        return output;
    }

    private static string Linear(string size, JsonElement models) => Recipe("linear", "", models.EnumerateObject()
        .Select(model => Model(size, model.Name, model.Value.GetDouble())), "{normalize: false}");

    private static string TaskArithmetic(string size, JsonElement entry)
    {
        var origin = TrainedCells.Folder(size, entry.GetProperty("base").GetString()!);
        var scale = entry.GetProperty("scale").GetDouble();
        return Recipe("task_arithmetic", $"base_model: \"{origin}\"", entry.GetProperty("models").EnumerateArray().Select(model => Model(size, model.GetString()!, scale)), "{normalize: false}");
    }

    private static string Model(string size, string name, double weight) => string.Create(
        CultureInfo.InvariantCulture, $"- {{model: \"{TrainedCells.Folder(size, name)}\", parameters: {{weight: {weight:R}}}}}");

    private static string Recipe(string method, string origin, IEnumerable<string> models, string parameters) =>
        $"merge_method: {method}\n{origin}\nmodels:\n{string.Join('\n', models)}\nparameters: {parameters}\ndtype: float32\n";
}
