using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Moe;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Moe;

/// <summary>Routers that are worked out from states of the GPU, against those of the CPU, on trained models.</summary>
public sealed class GatesOnGpuTests
{
    private const string Hidden = """
        base_model: examples/models/base
        gate_mode: MODE
        experts:
        - {source_model: examples/models/ft-code, positive_prompts: ["int main(void) {", "return 0;"]}
        - {source_model: examples/models/ft-man, positive_prompts: ["SYNOPSIS", "DESCRIPTION"], negative_prompts: ["Once upon a time"]}
        - {source_model: examples/models/ft-arithmetic, positive_prompts: ["12+30=", "7*8="]}
        """;

    private const string Calibrated = """
        base_model: examples/models/base
        gate_mode: calibrated
        calibration: {labels: MODE, tokens: 12000}
        experts:
        - {source_model: examples/models/base, data: examples/data/prose/kjv.txt}
        - {source_model: examples/models/ft-code, data: examples/data/code/zlib.txt}
        - {source_model: examples/models/ft-arithmetic, data: examples/data/arithmetic/heldout.txt}
        """;

    [Theory]
    [InlineData(Hidden, "hidden")]
    [InlineData(Hidden, "hidden\ngate_input: router")]
    [InlineData(Hidden, "hidden_avg")]
    [InlineData(Calibrated, "domain")]
    [InlineData(Calibrated, "likelihood")]
    public void Are_those_of_the_CPU(string recipe, string mode)
    {
        using var plan = Plan(recipe.Replace("MODE", mode, StringComparison.Ordinal));
        var wanted = Fill(plan, new RouterProbes(2));
        Assert.Equal(wanted, Fill(plan, new RouterProbes(2)));
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var seen = Fill(plan, new GpuProbes(gpu, type));
            Assert.InRange(Gpu.Error(wanted, seen), 0, type == CudaType.Float32 ? 1e-3 : recipe == Hidden ? 3e-2 : 0.2); // bfloat16: a ridge regression takes rounding for directions of its own
        }
    }

    /// <summary>What counts in the end: routers that were fitted on the GPU send tokens where those fitted on the CPU send them.</summary>
    [Fact]
    public void Fitted_in_bfloat16_send_the_domains_where_those_of_float32_do()
    {
        using var plan = Plan(Calibrated.Replace("MODE", "domain", StringComparison.Ordinal));
        Fill(plan, new RouterProbes(2));
        var wanted = Survey(plan, new RouterProbes(2));
        Assert.All(wanted, share => Assert.InRange(share, 0, 1));
        using var gpu = Gpu.Open();
        var probes = new GpuProbes(gpu, CudaType.BFloat16);
        Fill(plan, probes);
        Assert.All(wanted.Zip(Survey(plan, probes)), pair => Assert.Equal(pair.First, pair.Second, 0.03));
    }

    private static MergePlan Plan(string yaml)
    {
        var options = new PlanOptions { WorkingDirectory = Repository.Root, Threads = 2 };
        var plan = RecipePlanner.Plan(RecipeReader.Parse("moe.yml", yaml)[0], options);
        Assert.True(plan.IsExecutable, string.Join("; ", plan.Problems));
        return plan;
    }

    private static float[] Fill(MergePlan plan, IRouterProbes probes)
    {
        var mixture = GateFitter.MixtureOf(plan)!;
        new GateFitter(mixture, plan.Options, probes).Fill(CancellationToken.None);
        return [.. mixture.Gates.SelectMany(gate => gate.Values.ToArray())];
    }

    /// <summary>Shares of every domain's choices by layer and expert.</summary>
    private static double[] Survey(MergePlan plan, IRouterProbes probes)
    {
        var mixture = GateFitter.MixtureOf(plan)!;
        using var probe = probes.OpenPlanned("the backbone", mixture.DenseConfig, mixture.Backbone, mixture.Seed);
        var domains = new ProbeTexts(mixture.TokenizerFolder, 512).Domains(mixture, plan.Options, probes.ReadTexts, 2048);
        var gates = new GateFitter(mixture, plan.Options, probes).Gates();
        var report = RouterSurvey.Run("survey", probe, gates, mixture.Routing, mixture.ExpertNames, domains, CancellationToken.None);
        return [.. report.Layers.SelectMany(layer => layer.DomainShares.SelectMany(row => row))];
    }

    private sealed class GpuProbes(Gpu gpu, CudaType type) : IRouterProbes
    {
        public IRouterProbe OpenPlanned(string name, ModelConfig config, IReadOnlyList<TensorJob> jobs, ulong seed) =>
            RouterProbe.Open(config, new PlannedWeights(name, jobs, seed), network => new CudaBackend(gpu.Cuda, network, type));

        public IRouterProbe OpenFolder(string folder) =>
            RouterProbe.Open(ModelConfig.Read(folder), new CheckpointWeightSource(Checkpoint.Open(folder)), network => new CudaBackend(gpu.Cuda, network, type));

        public IReadOnlyList<string> ReadTexts(string path) => new RouterProbes(2).ReadTexts(path);
    }
}
