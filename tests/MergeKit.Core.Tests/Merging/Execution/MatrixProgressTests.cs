using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MemoryTensor = MergeKit.Core.Checkpoints.Writing.MemoryTensor;
using SafetensorsFile = MergeKit.Core.Checkpoints.Writing.SafetensorsFile;
using Tensors = MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>Matrices that are decomposed are foretold by the plan and counted, each by name, while they are.</summary>
public sealed class MatrixProgressTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("iso_c", 2, "6 x 40")]
    [InlineData("tsv_m", 8, "6 x 40")]
    public void The_plan_foretells_and_the_run_counts_every_matrix(string method, int count, string largest)
    {
        var (progress, seen) = (new MergeProgress(), new List<string>());
        using var plan = Plan(method, new Watching(() => seen.Add($"{progress.Matrices}/{progress.TotalMatrices} {progress.Matrix}")));
        var cost = plan.Matrices!;
        Assert.Equal((count, largest, "the place of the test"), (cost.Count, cost.Largest, cost.Place));
        Assert.Equal(count * 1e9, cost.Operations);
        Assert.Contains($"decomposes {count} matrices, the largest {largest}: about {count}.0e9 floating-point operations and {5 * count} s on the place of the test", cost.Sentence, StringComparison.Ordinal);
        new MergeRunner(plan, progress).Run(_folder.Join("out"), ResumeMode.Never, _ => new Dictionary<string, string>(), default);
        Assert.Equal(count, progress.Matrices);
        Assert.Null(progress.Matrix);
        Assert.Equal(count, seen.Count);
        Assert.Equal($"0/{count} a 6 x 40, halfway", seen[0]);
        Assert.Equal(Enumerable.Range(0, count), seen.ConvertAll(text => int.Parse(text.Split('/')[0], System.Globalization.CultureInfo.InvariantCulture)));
        Assert.Contains(seen, text => text.Contains(" b ", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_nothing_is_decomposed_nothing_is_said()
    {
        using var plan = Plan("task_arithmetic", new CpuDecomposer());
        Assert.Null(plan.Matrices);
    }

    [Fact]
    public void Another_place_is_another_run() // its last bits may differ
    {
        using var here = Plan("iso_c", new CpuDecomposer());
        using var there = Plan("iso_c", new Watching(() => { }));
        using var linear = Plan("task_arithmetic", new CpuDecomposer());
        using var linearThere = Plan("task_arithmetic", new Watching(() => { }));
        Assert.NotEqual(InputIdentity.Take(here), InputIdentity.Take(there));
        Assert.Equal(InputIdentity.Take(linear), InputIdentity.Take(linearThere));
    }

    public void Dispose() => _folder.Dispose();

    private MergePlan Plan(string method, IDecomposer decomposer)
    {
        for (var model = 0; model < 3 && !Directory.Exists(_folder.Join($"m{model}")); model++)
        {
            Directory.CreateDirectory(_folder.Join($"m{model}"));
            SafetensorsFile.Write(_folder.Join($"m{model}", "model.safetensors"), [Tensor("a", 6, 40, model), Tensor("b", 8, 5, model), new MemoryTensor("v", DType.F32, [3], new byte[12])]);
        }

        var yaml = $"merge_method: {method}\nbase_model: m0\nmodels:\n- model: m1\n- model: m2\n";
        var plan = MergePlanner.Plan(RecipeReader.Parse(_folder.Join("r.yml"), method == "task_arithmetic" ? yaml.Replace("m1\n", "m1\n  parameters: {weight: 1}\n", StringComparison.Ordinal).Replace("m2\n", "m2\n  parameters: {weight: 1}\n", StringComparison.Ordinal) : yaml)[0],
            new PlanOptions { WorkingDirectory = _folder.Path, Raw = true, Threads = 1, Decomposer = decomposer });
        Assert.True(plan.IsExecutable, string.Join('\n', plan.Problems));
        return plan;
    }

    private static MemoryTensor Tensor(string name, int rows, int columns, int model)
    {
        var values = Tensors.Random(rows * columns, model + 1);
        return new MemoryTensor(name, DType.F32, [rows, columns], System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values).ToArray());
    }

    private sealed class Watching(Action look) : IDecomposer
    {
        public string Name => "the place of the test";

        public bool PrefersWhole => false;

        public DecompositionCost Cost(long rows, long columns, int threads) => new(1e9, 5);

        public ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null)
        {
            step?.Invoke("halfway");
            look();
            return ThinSvd.Of(rows, loop);
        }
    }
}
