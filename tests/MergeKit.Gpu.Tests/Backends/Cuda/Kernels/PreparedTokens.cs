using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Random projections of some tokens at positions 30 and on, with all that <see cref="QkvPrepare"/> wants.</summary>
/// <param name="gpu">Where.</param>
/// <param name="spec">The attention.</param>
/// <param name="type">Element type.</param>
/// <param name="tokens">Tokens.</param>
/// <param name="rotations">Rows of angles; token t takes the t-th from the last. Some tokens have the same inputs whatever their number, if this is the same.</param>
internal sealed class PreparedTokens(Gpu gpu, AttentionSpec spec, CudaType type, int tokens, int rotations)
{
    public const int Pages = 3;

    private readonly int _half = Math.Max(1, (spec.Rope?.Dim ?? 0) / 2), _all = (spec.Heads + 2 * spec.KvHeads) * spec.HeadDim;

    public float[] Qkv { get; private set; } = [];

    public float[] Bias { get; private set; } = [];

    public float[] Cos { get; private set; } = [];

    public float[] Sin { get; private set; } = [];

    /// <summary>Queries, keys, values, pages of keys, pages of values.</summary>
    public float[][] Run(bool biased, bool? regular)
    {
        (Qkv, Bias, Cos, Sin) = (Gpu.Random(tokens * _all, 1), Gpu.Random(_all, 2), Gpu.Random(rotations * _half, 3), Gpu.Random(rotations * _half, 4));
        var (wide, narrow) = ((long)tokens * spec.Heads * spec.HeadDim, (long)tokens * spec.KvHeads * spec.HeadDim);
        var weights = spec.HeadDim * Math.Max(spec.Heads, spec.KvHeads);
        using var input = gpu.Send(Qkv, type);
        using var offset = gpu.Send(Bias, CudaType.Float32);
        using var cosines = gpu.Send(Cos, CudaType.Float32);
        using var sines = gpu.Send(Sin, CudaType.Float32);
        using var queryWeight = gpu.Send(Gpu.Random(weights, 5), CudaType.Float32);
        using var keyWeight = gpu.Send(Gpu.Random(weights, 6), CudaType.Float32);
        using var keyBias = gpu.Send(Gpu.Random(weights, 7), CudaType.Float32);
        using var rows = gpu.Send(Enumerable.Range(0, tokens).Select(t => rotations - 1 - t).ToArray());
        using var places = gpu.Send(Enumerable.Range(0, tokens).Select(t => new Int2(0, t + 30)).ToArray());
        using var table = gpu.Send(new[] { 2, 0, 1 });
        DeviceBuffer[] outputs =
        [
            gpu.Poisoned(wide, type), gpu.Poisoned(narrow, type), gpu.Poisoned(narrow, type),
            gpu.Poisoned(Pages * 64L * spec.KvHeads * spec.HeadDim, type), gpu.Poisoned(Pages * 64L * spec.KvHeads * spec.HeadDim, type),
        ];
        QkvPrepare.Launch(
            gpu.Cuda, spec, type, tokens,
            new QkvPrepare.Parameters
            {
                Qkv = input.Pointer,
                Bias = biased ? offset.Pointer : 0,
                QueryWeight = spec.QueryNorm is null ? 0 : queryWeight.Pointer,
                KeyWeight = spec.KeyNorm is null ? 0 : keyWeight.Pointer,
                KeyBias = spec.KeyNorm?.Kind == NormKind.Layer ? keyBias.Pointer : 0,
                Cos = cosines.Pointer,
                Sin = sines.Pointer,
                RopeRows = rows.Pointer,
                Places = places.Pointer,
                Table = table.Pointer,
                Queries = outputs[0].Pointer,
                Keys = outputs[1].Pointer,
                Values = outputs[2].Pointer,
                KeyPages = outputs[3].Pointer,
                ValuePages = outputs[4].Pointer,
                TableStride = Pages,
                QueryWeights = spec.QueryNorm?.Size ?? 1,
                KeyWeights = spec.KeyNorm?.Size ?? 1,
                QueryEpsilon = (float)(spec.QueryNorm?.Epsilon ?? 0),
                KeyEpsilon = (float)(spec.KeyNorm?.Epsilon ?? 0),
            },
            regular);
        var values = Array.ConvertAll(outputs, output => gpu.Read(output, type));
        foreach (var output in outputs)
            output.Dispose();
        return values;
    }
}
