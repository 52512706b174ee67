using System.Runtime.InteropServices;
using System.Text.Json;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Backends.Cuda;

/// <summary>The engine suite's causal models on the GPU: float32 within the suite's tolerances, bfloat16 within twice what the reference itself loses there.</summary>
[Trait("Suite", "engine")]
public class CudaBackendTests
{
    public static TheoryData<string> Cases => new(EngineSuite.Cases("causal_lm"));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Float32_gives_the_reference_s_logits_and_nll(string name)
    {
        using var gpu = Gpu.Open();
        using var reference = new Reference(name);
        using var model = Open(gpu, reference, CudaType.Float32);
        foreach (var prompt in reference.Prompts)
        {
            var ids = reference.Ids(prompt + ".input_ids");
            var (logits, nll) = model.Run(ids);
            Assert.InRange(Distance(reference.Floats(prompt + ".logits"), logits), 0, reference.Tolerance("logits_atol"));
            if (!model.Network.RotaryDependsOnLength)
                Assert.InRange(Math.Abs(nll - reference.Nll(prompt)), 0, reference.Tolerance("nll_atol"));
            Assert.Equal(logits, model.Run(ids).Logits);
            Assert.InRange(Distance(reference.Floats(prompt + ".decode_logits"), model.Decode(ids, reference.Ids(prompt + ".decode_ids"))), 0, reference.Tolerance("logits_atol"));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void BFloat16_stays_within_twice_the_reference_s_own_loss(string name)
    {
        using var gpu = Gpu.Open();
        using var reference = new Reference(name);
        using var model = Open(gpu, reference, CudaType.BFloat16);
        foreach (var prompt in reference.Prompts)
        {
            var ids = reference.Ids(prompt + ".input_ids");
            var logits = model.Run(ids).Logits;
            Assert.InRange(Distance(reference.Floats(prompt + ".logits"), logits), 0, 2 * reference.BFloat16Loss(prompt));
            Assert.Equal(logits, model.Run(ids).Logits);
        }
    }

    private static GpuModel Open(Gpu gpu, Reference reference, CudaType type)
    {
        var problems = CudaBackend.Unsupported(reference.Network);
        Assert.SkipWhen(problems.Count > 0 && !Repository.RunUnbuilt, "not run: " + string.Join("; ", problems.Select(problem => problem.Message)));
        return new GpuModel(gpu, reference, type);
    }

    private static double Distance(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        return expected.Zip(actual, (a, b) => double.IsNaN(b) ? double.PositiveInfinity : Math.Abs((double)a - b)).Max();
    }

    /// <summary>One case of the suite.</summary>
    private sealed class Reference : IDisposable
    {
        private readonly Checkpoint _results;
        private readonly JsonElement _references;

        public Reference(string name)
        {
            Folder = EngineSuite.Folder(name);
            _results = Checkpoint.Open(Path.Combine(Folder, "references.safetensors"));
            _references = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "references.json"))).RootElement;
            Config = ModelConfig.Read(Folder);
            Network = ArchitectureCatalog.Get(Config).Network(Config);
        }

        public string Folder { get; }

        public ModelConfig Config { get; }

        public NetworkSpec Network { get; }

        public IEnumerable<string> Prompts => _references.GetProperty("prompts").EnumerateObject().Select(prompt => prompt.Name);

        public double Tolerance(string key) => _references.GetProperty("tolerance").GetProperty(key).GetDouble();

        public double Nll(string prompt) => _references.GetProperty("prompts").GetProperty(prompt).GetProperty("nll").GetDouble();

        public double BFloat16Loss(string prompt) =>
            _references.GetProperty("prompts").GetProperty(prompt).GetProperty("bfloat16_run").GetProperty("logits_max_abs_diff").GetDouble();

        public int[] Ids(string name) => Array.ConvertAll(Read<long>(name), value => (int)value);

        public float[] Floats(string name) => Read<float>(name);

        public void Dispose() => _results.Dispose();

        private T[] Read<T>(string name) where T : unmanaged
        {
            var tensor = _results.Get(name);
            var values = new T[tensor.ElementCount];
            _results.Read(tensor, 0, MemoryMarshal.AsBytes(values.AsSpan()));
            return values;
        }
    }

    /// <summary>A case's model on the GPU.</summary>
    private sealed class GpuModel : IDisposable
    {
        private readonly CheckpointWeightSource _source;
        private readonly CudaBackend _backend;
        private readonly NetworkWeights _weights;
        private readonly Transformer _transformer;

        public GpuModel(Gpu gpu, Reference reference, CudaType type)
        {
            Network = reference.Network;
            _source = new CheckpointWeightSource(Checkpoint.Open(reference.Folder));
            _backend = new CudaBackend(gpu.Cuda, Network, type);
            _weights = WeightLoader.Load(ArchitectureCatalog.Get(reference.Config), reference.Config, Network, _source, _backend, new List<Problem>());
            _transformer = new Transformer(_backend, _weights);
        }

        public NetworkSpec Network { get; }

        /// <summary>All logits of a sequence, in a batch with another one, and the sum of its targets' -ln p.</summary>
        public (float[] Logits, double Nll) Run(int[] ids)
        {
            using var cache = _backend.CreateCache();
            using var other = _backend.CreateCache();
            var batch = ForwardBatch.Continue([new(other, ids.AsMemory(0, 3)), new(cache, ids)]);
            var output = _transformer.Forward(batch);
            var rows = Enumerable.Range(3, ids.Length).ToArray();
            var logits = Logits(output, rows);
            var (logProbs, isArgMax) = (new float[ids.Length - 1], new bool[ids.Length - 1]);
            _backend.Score(_weights.Head, output, rows.AsSpan(0, ids.Length - 1), ids.AsSpan(1), logProbs, isArgMax);
            for (var t = 0; t < isArgMax.Length; t++)
                Assert.Equal(System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(logits.AsSpan(t * Network.VocabularySize, Network.VocabularySize)) == ids[t + 1], isArgMax[t]);
            return (logits, -logProbs.Sum(value => (double)value));
        }

        /// <summary>Logits after each id that is fed on top of a copy of a prompt's cache.</summary>
        public float[] Decode(int[] prompt, int[] ids)
        {
            using var cache = _backend.CreateCache();
            _transformer.Forward(ForwardBatch.Continue([new(cache, prompt)]));
            using var fork = cache.Fork(ids.Length);
            cache.Truncate(0); // its pages may be taken again: the copy must not need them
            return [.. ids.SelectMany(id => Logits(_transformer.Forward(ForwardBatch.Continue([new(fork, new[] { id })])), [0]))];
        }

        public void Dispose()
        {
            _transformer.Dispose();
            _backend.Dispose();
            _source.Dispose();
        }

        private float[] Logits(IBuffer output, int[] rows)
        {
            var logits = new float[rows.Length * Network.VocabularySize];
            for (var i = 0; i < rows.Length; i++)
                _backend.Logits(_weights.Head, output, rows[i], logits.AsSpan(i * Network.VocabularySize, Network.VocabularySize));
            return logits;
        }
    }
}
