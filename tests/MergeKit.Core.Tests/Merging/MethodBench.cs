using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Merging;

/// <summary>A tensor in memory.</summary>
internal sealed record ArraySource(float[] Values) : ITensorSource
{
    public string Description => "array";

    public DType Type => DType.F32;

    public long Count => Values.Length;

    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    public void Read(long start, Span<float> destination, Span<byte> scratch) => Values.AsSpan((int)start, destination.Length).CopyTo(destination);
}

/// <summary>Runs one method on one tensor in memory, as the runner would: parallel passes, then chunks in parts.</summary>
internal sealed class MethodBench(string method, params long[] shape)
{
    private readonly List<JobSource> _sources = [];
    private readonly Dictionary<string, double> _parameters = new(StringComparer.Ordinal);

    public MergeMethod Method { get; } = MethodCatalog.Find(method) ?? throw new ArgumentException(method);

    public string Name { get; init; } = "model.layers.0.mlp.up_proj.weight";

    public ulong Seed { get; init; } = 11;

    public double Depth { get; init; } = 0.25;

    /// <summary>Adds a model; parameters that are not given have their defaults.</summary>
    public MethodBench Model(float[] values, params (string Name, double Value)[] parameters) => Add(values, false, parameters);

    /// <summary>Adds the base.</summary>
    public MethodBench Base(float[] values) => Add(values, true, []);

    /// <summary>Sets a parameter that concerns all models.</summary>
    public MethodBench With(string name, double value)
    {
        _parameters[name] = value;
        return this;
    }

    public TensorJob Job()
    {
        var parameters = Defaults(ParameterScope.Global);
        foreach (var (name, value) in _parameters)
            parameters[name] = value;
        return new TensorJob(Name, shape, DType.F32, Method, [.. _sources], parameters) { Depth = Depth };
    }

    /// <summary>The merged tensor.</summary>
    /// <param name="threads">Workers.</param>
    /// <param name="chunk">Elements of a chunk, a multiple of the summation block.</param>
    /// <param name="part">Elements combined at a time.</param>
    public float[] Run(int threads = 2, int chunk = TensorInputs.BlockElements, int part = 2048)
    {
        var job = Job();
        var result = new float[job.Count];
        using var pool = new WorkerPool(threads, _ => new WorkerBuffers(job.Sources.Count + Chunk.ScratchRows + 1, chunk), CancellationToken.None);
        pool.Add(worker =>
        {
            var inputs = new TensorInputs(job, Seed, worker);
            var combine = job.Method.Prepare(inputs);
            inputs.ForEachChunk(whole =>
            {
                for (var at = 0; at < whole.Length; at += part)
                {
                    var piece = whole.Part(at, Math.Min(part, whole.Length - at));
                    combine(piece, result.AsSpan((int)piece.Start, piece.Length));
                }
            });
        });
        pool.Run();
        return result;
    }

    private MethodBench Add(float[] values, bool isBase, (string Name, double Value)[] given)
    {
        var parameters = Defaults(ParameterScope.PerModel);
        foreach (var (name, value) in given)
            parameters[name] = value;
        _sources.Add(new JobSource($"model{_sources.Count}", new ArraySource(values), isBase, isBase ? new Dictionary<string, double>() : parameters));
        return this;
    }

    private Dictionary<string, double> Defaults(ParameterScope scope) => Method.Description.Parameters
        .Where(parameter => parameter.Scope == scope && parameter.DefaultNumber is not null)
        .ToDictionary(parameter => parameter.Name, parameter => parameter.DefaultNumber!.Value, StringComparer.Ordinal);
}

/// <summary>Tensors for tests, and their comparison.</summary>
internal static class Tensors
{
    /// <summary>Roughly normal values (sum of twelve uniform ones), a pure function of the seed.</summary>
    public static float[] Random(int count, int seed, double scale = 1, double mean = 0)
    {
        var result = new float[count];
        for (var i = 0; i < count; i++)
        {
            var sum = 0.0;
            for (var block = 0; block < 3; block++)
            {
                var (a, b, c, d) = Philox.Block((ulong)seed, (ulong)i, (ulong)block);
                sum += ((double)a + b + c + d) / uint.MaxValue;
            }

            result[i] = (float)(mean + scale * (sum - 6));
        }

        return result;
    }

    /// <summary>A fine-tune: the base plus noise, with a share of exact zeros in the difference.</summary>
    public static float[] FineTune(float[] origin, int seed, double scale = 0.05, double zeros = 0)
    {
        var noise = Random(origin.Length, seed, scale);
        var choice = Random(origin.Length, seed + 1000);
        var rank = choice.Order().ElementAtOrDefault((int)(zeros * choice.Length));
        return [.. origin.Select((value, i) => zeros > 0 && choice[i] < rank ? value : value + noise[i])];
    }

    public static double[] Delta(float[] model, float[] origin) => [.. model.Select((value, i) => (double)(value - origin[i]))];

    public static double[] Wide(float[] values) => Array.ConvertAll(values, value => (double)value);

    public static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    public static double Norm(double[] a) => Math.Sqrt(Dot(a, a));

    public static double[] Sum(params (double Factor, double[] Vector)[] terms) =>
        [.. Enumerable.Range(0, terms[0].Vector.Length).Select(i => terms.Sum(term => term.Factor * term.Vector[i]))];

    /// <summary>Every element within atol + rtol |expected|.</summary>
    public static void Close(double[] expected, float[] actual, double rtol = 2e-6, double atol = 2e-6)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= atol + rtol * Math.Abs(expected[i]), $"element {i}: {actual[i]}, expected {expected[i]}");
    }
}
