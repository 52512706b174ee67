using System.Diagnostics;
using System.Text.Json;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Planning reads headers only: the whole program on three 80-layer models of some 70 billion parameters takes about a second.</summary>
public class PlanSpeedTests(ITestOutputHelper log)
{
    private const int Layers = 80, Hidden = 8192, Vocabulary = 128256, Inner = 28672, Shards = 30;

    /// <summary>Generous, as build servers are slow and shared; the benchmark program states the time.</summary>
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(5);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Headers_of_a_70B_model_are_planned_at_once(int models)
    {
        using var scratch = TemporaryFolder.InMemory(10_000_000);
        for (var i = 0; i < models; i++)
            SyntheticModel.SparseLlama(scratch.Join($"m{i}"), Layers, Hidden, Vocabulary, Inner, Shards);
        var sources = Enumerable.Range(0, models).Select(i => $$$"""- {model: m{{{i}}}, parameters: {weight: 1}}""");
        File.WriteAllText(scratch.Join("recipe.yml"), $"merge_method: linear\nmodels:\n{string.Join('\n', sources)}\n");
        var (best, output) = (TimeSpan.MaxValue, "");
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var watch = Stopwatch.StartNew();
            var result = MergeKitProcess.Run("plan", "recipe.yml", "--json", "-C", scratch.Path);
            best = watch.Elapsed < best ? watch.Elapsed : best;
            Assert.Equal((0, ""), (result.ExitCode, result.Error));
            output = result.Output;
        }

        using var json = JsonDocument.Parse(output);
        var plan = json.RootElement.GetProperty("plans")[0];
        var wanted = SyntheticModel.LlamaShapes(Layers, Hidden, Vocabulary, Inner).Sum(tensor => tensor.Shape.Aggregate(1L, (product, extent) => product * extent));
        Assert.Equal(wanted, plan.GetProperty("parameters").GetInt64());
        log.WriteLine($"plan of {models} models of {wanted / 1e9:F1} billion parameters: {best.TotalMilliseconds:F0} ms for the whole process");
        Assert.True(best < Bound, $"planning took {best}");
    }
}
