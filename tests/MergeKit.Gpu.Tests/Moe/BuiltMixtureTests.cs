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
    private const int Tokens = 12, Sequences = 24, Vocabulary = 48;

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

    /// <summary>In float32 every token visits the same experts, and the logits agree. In bfloat16 a token that stands between two experts may go to the other
    /// one, after which its sequence is another computation; so there each choice is held against the scores of the state that the GPU's own router read, and
    /// logits are compared up to the first token that went elsewhere. They may differ by
    /// 1.5 times what bfloat16 costs the dense parents on the same sequences: noise of 1/256 on every weight costs these mixtures 0.79 to 1.19 times what it costs the parents.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void Give_on_the_GPU_what_they_give_on_the_CPU(string kind, string format, int topK, int hidden)
    {
        var built = Build(kind, format, topK, hidden);
        var wanted = OnCpu(built.Folder, Trace);
        Assert.True(wanted.SelectMany(trace => trace.Routers[0].Experts).Distinct().Count() == 4, "the case is too easy: not every expert is chosen");
        using (var probe = RouterProbe.Open(ModelConfig.Read(built.Folder), Source(built.Folder), 2))
            CheckChoices(built.Gates, wanted, probe, topK, kind == DenseModel.DeepseekV3, 1e-5);
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var seen = OnGpu(gpu, built.Folder, type, Trace);
            using (var probe = RouterProbe.Open(ModelConfig.Read(built.Folder), Source(built.Folder), network => new CudaBackend(gpu.Cuda, network, type)))
                CheckChoices(built.Gates, seen, probe, topK, kind == DenseModel.DeepseekV3, type == CudaType.Float32 ? 1e-5 : 1.0 / 128);
            Compare(wanted, seen, type == CudaType.Float32 ? 1e-4 : 1.5 * DenseLoss(gpu), exact: type == CudaType.Float32);
        }
    }

    /// <summary>Routers of zeros give all experts the same score: the first ones are chosen by every token, the last ones by none.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void All_tokens_may_go_to_one_expert_and_none_to_another(string kind, string format, int topK, int hidden)
    {
        var built = Build(kind, format, topK, hidden, zeroGates: true);
        var wanted = OnCpu(built.Folder, Trace);
        Check(wanted);
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var seen = OnGpu(gpu, built.Folder, type, Trace);
            Check(seen);
            Compare(wanted, seen, type == CudaType.Float32 ? 1e-4 : 1.5 * DenseLoss(gpu), exact: true);
        }

        void Check(IReadOnlyList<ForwardTrace> traces) => Assert.All(traces.SelectMany(trace => trace.Routers), router => Assert.Equal(
            Enumerable.Range(0, topK * Tokens).Select(i => i % topK), router.Experts));
    }

    /// <summary>What bfloat16 costs the parent that suffers most from it, over all tokens: the yardstick for mixtures of their blocks.</summary>
    private double DenseLoss(Gpu gpu)
    {
        var loss = new[] { "a", "b", "c" }.Select(name => _scratch.Join(name)).Max(folder =>
            Gpu.Error([.. OnCpu(folder, Trace).SelectMany(trace => trace.Logits)], [.. OnGpu(gpu, folder, CudaType.BFloat16, Trace).SelectMany(trace => trace.Logits)]));
        Assert.True(loss > 0, "bfloat16 costs nothing, so it was not used");
        return loss;
    }

    /// <summary>The error over all logits before the first token of each sequence that visits other experts; where <paramref name="exact"/> there is none, else more
    /// than half of the tokens are left. One wrong token among the 288 makes an error of 0.06.</summary>
    private static void Compare(IReadOnlyList<ForwardTrace> wanted, IReadOnlyList<ForwardTrace> seen, double bound, bool exact)
    {
        var same = wanted.Zip(seen, SameTokens).ToList();
        Assert.InRange(same.Sum(), exact ? Sequences * Tokens : Sequences * Tokens / 2, Sequences * Tokens);
        Assert.InRange(Gpu.Error([.. Before(wanted)], [.. Before(seen)]), 0, bound);

        IEnumerable<float> Before(IReadOnlyList<ForwardTrace> traces) => traces.Zip(same).SelectMany(pair => pair.First.Logits.Take(pair.Second * Vocabulary));
    }

    private static int SameTokens(ForwardTrace a, ForwardTrace b) => Enumerable.Range(0, Tokens).TakeWhile(token => a.Routers.Zip(b.Routers).All(pair =>
        Visited(pair.First, token).Order().SequenceEqual(Visited(pair.Second, token).Order()))).Count();

    private static int[] Visited(RouterTrace router, int token) => router.Experts[(token * router.TopK)..((token + 1) * router.TopK)];

    /// <summary>Every chosen expert's score, by the state that the router read, is at least that of every other one, less rounding in relation to the largest.</summary>
    private static void CheckChoices(IReadOnlyList<LayerGates> gates, IReadOnlyList<ForwardTrace> traces, RouterProbe probe, int topK, bool sigmoid, double rounding)
    {
        var states = new Dictionary<(int Layer, int Sequence), float[]>();
        probe.Run([.. Prompts.Select(ids => ids.ToArray())], GateInput.Router, [.. gates.Select(one => one.Layer)], (layer, sequence, rows) => states[(layer, sequence)] = rows.ToArray(), CancellationToken.None);
        foreach (var (sequence, trace) in traces.Index())
            foreach (var (layer, router) in gates.Zip(trace.Routers))
            {
                Assert.Equal((layer.Layer, topK), (router.Layer, router.TopK));
                foreach (var (token, logits) in RouterSurvey.Logits(layer.Rows, states[(layer.Layer, sequence)]).Index())
                {
                    var scores = sigmoid ? Array.ConvertAll(logits, z => (double)(1 / (1 + MathF.Exp(-(float)z)))) : logits; // which may be 1 for several
                    var chosen = Visited(router, token);
                    var others = Enumerable.Range(0, scores.Length).Except(chosen);
                    Assert.True(
                        chosen.Min(expert => scores[expert]) >= others.Max(expert => scores[expert]) - (rounding * scores.Max(Math.Abs)),
                        $"sequence {sequence}, layer {layer.Layer}, token {token}: {string.Join(", ", chosen)} chosen by scores {string.Join(", ", scores)}");
                }
            }
    }

    private static IReadOnlyList<ReadOnlyMemory<int>> Prompts { get; } =
        [.. Enumerable.Range(0, Sequences).Select(i => (ReadOnlyMemory<int>)Enumerable.Range(0, Tokens).Select(t => (t * t * (i + 3) + 7 * i + t) % Vocabulary).ToArray())];

    private static IReadOnlyList<ForwardTrace> Trace(LanguageModel model)
    {
        Assert.Empty(model.Warnings);
        return model.Trace(Prompts, new TraceOptions(Routers: true));
    }

    private static CheckpointWeightSource Source(string folder) => new(Checkpoint.Open(folder));

    private static T OnCpu<T>(string folder, Func<LanguageModel, T> use)
    {
        using var model = LanguageModel.Open(folder, 2);
        return use(model);
    }

    private static T OnGpu<T>(Gpu gpu, string folder, CudaType type, Func<LanguageModel, T> use)
    {
        using var model = LanguageModel.FromSource("gpu", ModelConfig.Read(folder), Source(folder), network => new CudaBackend(gpu.Cuda, network, type));
        return use(model);
    }

    /// <summary>Four experts of three models, by the planner and the runner; one of them is there twice, with noise. Uniform gates: their scores are of size one,
    /// so that rounding of a state moves the experts' shares as little as it moves all else.</summary>
    private (string Folder, IReadOnlyList<LayerGates> Gates) Build(string kind, string format, int topK, int hidden, bool zeroGates = false)
    {
        foreach (var (seed, name) in new[] { "a", "b", "c" }.Index())
            DenseModel.Write(_scratch.Join(name), kind, seed + 1, DType.BF16, inner: hidden, hidden: hidden);
        var yaml = $"base_model: a\narchitecture: {format}\ngate_mode: uniform_random\nexperts_per_token: {topK}\nexperts:\n- source_model: a\n- source_model: b\n- source_model: c\n- {{source_model: a, noise_scale: 0.1}}\n";
        using var plan = RecipePlanner.Plan(RecipeReader.Parse("moe.yml", yaml)[0], new PlanOptions { WorkingDirectory = _scratch.Path, Threads = 2, CopyTokenizer = false });
        Assert.True(plan.IsExecutable, string.Join("; ", plan.Problems));
        var mixture = GateFitter.MixtureOf(plan)!;
        var fitter = new GateFitter(mixture, plan.Options, new RouterProbes(2));
        fitter.Fill(CancellationToken.None);
        if (zeroGates)
            foreach (var gate in mixture.Gates)
                gate.Fill(new float[gate.Count]);
        var output = _scratch.Join("out");
        new MergeRunner(plan, new MergeProgress()).Run(output, ResumeMode.Never, _ => new Dictionary<string, string>(), CancellationToken.None);
        return (output, [.. fitter.Gates().Select(gates => gates with { Rows = [.. gates.Rows.Select(Rounded)] })]);

        static double[] Rounded(double[] row)
        {
            var values = Array.ConvertAll(row, value => (float)value);
            TensorCodec.Round(DType.BF16, values);
            return Array.ConvertAll(values, value => (double)value);
        }
    }
}
