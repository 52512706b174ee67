using MergeKit.Cli.Tests.Moe;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Moe;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Moe;

/// <summary>Mixtures of every format, built of random dense models as <c>mergekit run</c> builds them, then run on the CPU (float32) and on the GPU.
/// The widths 32 and 256 are computed by different kernels.</summary>
public sealed class BuiltMixtureTests : IDisposable
{
    private const int Tokens = 12, Sequences = 24;

    private readonly TemporaryFolder _scratch = TemporaryFolder.InMemory(200_000_000);

    /// <summary>Dense model, output format with its further keys, experts per token, hidden width.</summary>
    public static TheoryData<string, string, int, int> Formats
    {
        get
        {
            var cases = new TheoryData<string, string, int, int>();
            foreach (var hidden in (int[])[32, 256])
                foreach (var topK in (int[])[1, 2])
                {
                    cases.Add(DenseModel.Llama, "mixtral", topK, hidden);
                    cases.Add(DenseModel.Llama, "mixtral\nlayout: packed", topK, hidden);
                    cases.Add(DenseModel.Qwen2, "qwen\nshared_experts: [{source_model: c, residual_scale: 0.5}]", topK, hidden);
                    cases.Add(DenseModel.Qwen3, "qwen3\nlayer_range: [1, 3]", topK, hidden);
                    cases.Add(DenseModel.Llama, "deepseek\nlayer_range: [1, 3]\nshared_experts: [{source_model: c}, {source_model: b}]", topK, hidden);
                    cases.Add(DenseModel.DeepseekV3, "deepseek_v3\nshared_experts: [{source_model: c}]", topK, hidden);
                }

            return cases;
        }
    }

    public void Dispose() => _scratch.Dispose();

    /// <summary>Sequences whose tokens visit the same experts everywhere agree within rounding: all of them in float32; in bfloat16 a token that stands between
    /// two experts may go to the other one, which changes its sequence, so nine in ten have to.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void Give_on_the_GPU_what_they_give_on_the_CPU(string kind, string format, int topK, int hidden)
    {
        var (folder, wanted) = (Build(kind, format, topK, hidden), default(IReadOnlyList<ForwardTrace>));
        using (var model = LanguageModel.Open(folder, 2))
            wanted = Trace(model);
        Assert.All(wanted[0].Routers, router => Assert.Equal(topK, router.TopK));
        Assert.True(wanted.SelectMany(trace => trace.Routers[0].Experts).Distinct().Count() == 4, "the case is too easy: not every expert is chosen");
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            using var model = OnGpu(gpu, folder, type);
            var same = wanted.Zip(Trace(model)).Where(pair => SameExperts(pair.First, pair.Second)).ToList();
            Assert.InRange(same.Count, type == CudaType.Float32 ? Sequences : Sequences * 9 / 10, Sequences);
            Assert.All(same, pair => Assert.InRange(Gpu.Error(pair.First.Logits, pair.Second.Logits), 0, type == CudaType.Float32 ? 1e-4 : 3e-2));
        }
    }

    /// <summary>Routers of zeros give all experts the same score: the first ones are chosen by every token, the last ones by none.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void All_tokens_may_go_to_one_expert_and_none_to_another(string kind, string format, int topK, int hidden)
    {
        var (folder, wanted) = (Build(kind, format, topK, hidden, zeroGates: true), default(IReadOnlyList<ForwardTrace>));
        using (var model = LanguageModel.Open(folder, 2))
            wanted = Trace(model);
        Check(wanted);
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            using var model = OnGpu(gpu, folder, type);
            var seen = Trace(model);
            Check(seen);
            Assert.All(wanted.Zip(seen), pair => Assert.InRange(Gpu.Error(pair.First.Logits, pair.Second.Logits), 0, type == CudaType.Float32 ? 1e-4 : 3e-2));
        }

        void Check(IReadOnlyList<ForwardTrace> traces) => Assert.All(traces.SelectMany(trace => trace.Routers), router => Assert.Equal(
            Enumerable.Range(0, topK * Tokens).Select(i => i % topK), router.Experts));
    }

    private static bool SameExperts(ForwardTrace a, ForwardTrace b) =>
        a.Routers.Zip(b.Routers).All(pair => pair.First.Experts.Chunk(pair.First.TopK).Zip(pair.Second.Experts.Chunk(pair.First.TopK)).All(two => two.First.Order().SequenceEqual(two.Second.Order())));

    private static IReadOnlyList<ForwardTrace> Trace(LanguageModel model)
    {
        Assert.Empty(model.Warnings);
        var sequences = Enumerable.Range(0, Sequences).Select(i => (ReadOnlyMemory<int>)Enumerable.Range(0, Tokens).Select(t => (t * t * (i + 3) + 7 * i + t) % 48).ToArray());
        return model.Trace([.. sequences], new TraceOptions(Routers: true));
    }

    private static LanguageModel OnGpu(Gpu gpu, string folder, CudaType type) => LanguageModel.FromSource(
        "gpu", ModelConfig.Read(folder), new CheckpointWeightSource(Checkpoint.Open(folder)), network => new CudaBackend(gpu.Cuda, network, type));

    /// <summary>Four experts of three models, by the planner and the runner; one of them is there twice, with noise.</summary>
    private string Build(string kind, string format, int topK, int hidden, bool zeroGates = false)
    {
        foreach (var (seed, name) in new[] { "a", "b", "c" }.Index())
            DenseModel.Write(_scratch.Join(name), kind, seed + 1, DType.BF16, inner: hidden, hidden: hidden);
        var yaml = $"base_model: a\narchitecture: {format}\ngate_mode: random\nexperts_per_token: {topK}\nexperts:\n- source_model: a\n- source_model: b\n- source_model: c\n- {{source_model: a, noise_scale: 0.1}}\n";
        using var plan = RecipePlanner.Plan(RecipeReader.Parse("moe.yml", yaml)[0], new PlanOptions { WorkingDirectory = _scratch.Path, Threads = 2, CopyTokenizer = false });
        Assert.True(plan.IsExecutable, string.Join("; ", plan.Problems));
        var mixture = GateFitter.MixtureOf(plan)!;
        new GateFitter(mixture, plan.Options, new RouterProbes(2)).Fill(CancellationToken.None);
        if (zeroGates)
            foreach (var gate in mixture.Gates)
                gate.Fill(new float[gate.Count]);
        var output = _scratch.Join("out");
        new MergeRunner(plan, new MergeProgress()).Run(output, ResumeMode.Never, _ => new Dictionary<string, string>(), CancellationToken.None);
        return output;
    }
}
