using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Bias, rotation and the write of keys and values, ragged and in pages, against plain loops.</summary>
public class QkvPrepareTests
{
    private const int Tokens = 70;

    public static TheoryData<int, int, int, int, bool, bool, bool> Forms => new()
    {
        { 32, 8, 128, 128, false, false, false },
        { 4, 2, 64, 64, true, false, true },
        { 6, 2, 64, 32, false, true, true },
        { 5, 1, 80, 40, false, false, false },
        { 4, 4, 128, 0, false, false, true },
        { 3, 1, 20, 12, true, true, true },
        { 4, 2, 64, 16, true, true, false },
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void Equals_plain_loops(int heads, int kvHeads, int headDim, int rotary, bool interleaved, bool grouped, bool biased)
    {
        using var gpu = Gpu.Open();
        var spec = new AttentionSpec
        {
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            ValueDim = headDim,
            Scale = 1,
            Output = new LinearSpec("o", default, 1, 1),
            Rope = rotary > 0 ? new RopeSpec { Dim = rotary, Theta = 1e4, Interleaved = interleaved } : null,
            Layout = grouped ? QkvLayout.GroupedByKvHead : default,
        };
        var (all, half) = ((heads + 2 * kvHeads) * headDim, Math.Max(1, rotary / 2));
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var inputs = new PreparedTokens(gpu, spec, type, Tokens, Tokens);
            var actual = inputs.Run(biased, null);
            var (qkv, bias, cos, sin) = (inputs.Qkv, inputs.Bias, inputs.Cos, inputs.Sin);
            var expected = Enumerable.Range(0, Tokens).Select(t => Token(spec, qkv.AsSpan(t * all, all), biased ? bias : null, cos, sin, (Tokens - 1 - t) * half)).ToArray();
            var (q, k) = (heads * headDim, kvHeads * headDim);
            var tolerance = type == CudaType.Float32 ? 1e-6 : 3e-3;
            Assert.InRange(Gpu.Error([.. expected.SelectMany(token => token[..q])], actual[0]), 0, tolerance);
            float[] wantedKeys = [.. expected.SelectMany(token => token[q..(q + k)])], wantedValues = [.. expected.SelectMany(token => token[(q + k)..])];
            Assert.InRange(Gpu.Error(wantedKeys, actual[1]), 0, tolerance);
            Assert.InRange(Gpu.Error(wantedValues, actual[2]), 0, tolerance);
            Assert.Equal(actual[1], Ragged(actual[3], kvHeads, headDim));
            Assert.Equal(actual[2], Ragged(actual[4], kvHeads, headDim));
        }
    }

    public static TheoryData<int, int, int, bool, NormKind?, NormKind?, bool> Regular => new()
    {
        { 32, 8, 128, true, NormKind.Rms, NormKind.Rms, false },
        { 9, 3, 64, true, null, NormKind.Rms, false },
        { 9, 3, 64, true, NormKind.Rms, null, true },
        { 5, 1, 256, false, NormKind.Layer, NormKind.Layer, false },
        { 71, 1, 64, true, null, null, true },
        { 3, 3, 128, false, null, null, false },
    };

    [Theory]
    [MemberData(nameof(Regular))]
    public void Heads_in_registers_equal_heads_in_shared_memory(int heads, int kvHeads, int headDim, bool rotated, NormKind? query, NormKind? key, bool grouped)
    {
        using var gpu = Gpu.Open();
        var spec = new AttentionSpec
        {
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            ValueDim = headDim,
            Scale = 1,
            Output = new LinearSpec("o", default, 1, 1),
            Rope = rotated ? new RopeSpec { Dim = headDim, Theta = 1e4 } : null,
            Layout = grouped ? QkvLayout.GroupedByKvHead : default,
            QueryNorm = query is { } q ? new NormSpec("q", q, headDim, 1e-6) : null,
            KeyNorm = key is { } k ? new NormSpec("k", k, headDim, 1e-5) : null,
        };
        Assert.True(QkvPrepare.IsRegular(spec));
        foreach (var type in Enum.GetValues<CudaType>())
            foreach (var tokens in new[] { 1, 3, 70 })
            {
                PreparedTokens inputs = new(gpu, spec, type, tokens, 70), alone = new(gpu, spec, type, 1, 70);
                var (expected, actual) = (inputs.Run(biased: true, regular: false), inputs.Run(biased: true, regular: true));
                for (var part = 0; part < 3; part++)
                    Assert.InRange(Gpu.Error(expected[part], actual[part]), 0, type == CudaType.Float32 ? 1e-6 : 3e-3);
                Assert.Equal(actual[1], Ragged(actual[3], kvHeads, headDim)[..actual[1].Length]);
                Assert.Equal(actual[2], Ragged(actual[4], kvHeads, headDim)[..actual[2].Length]);
                Assert.Equal(alone.Run(biased: true, regular: true)[0], actual[0][..(heads * headDim)]);
            }
    }

    /// <summary>[q | k | v] of a token.</summary>
    private static float[] Token(AttentionSpec spec, ReadOnlySpan<float> qkv, float[]? bias, float[] cos, float[] sin, int angles)
    {
        var (d, group, rotary) = (spec.HeadDim, spec.Heads / spec.KvHeads, spec.Rope?.Dim ?? 0);
        var x = new float[qkv.Length];
        for (var head = 0; head < spec.Heads + 2 * spec.KvHeads; head++)
            for (var i = 0; i < d; i++)
            {
                var kind = head < spec.Heads ? 0 : head < spec.Heads + spec.KvHeads ? 1 : 2;
                var source = spec.Layout != QkvLayout.GroupedByKvHead ? head
                    : kind == 0 ? head / group * (group + 2) + head % group
                    : (kind == 1 ? head - spec.Heads : head - spec.Heads - spec.KvHeads) * (group + 2) + group + kind - 1;
                x[head * d + i] = qkv[source * d + i] + (bias is null ? 0 : bias[source * d + i]);
            }

        for (var head = 0; head < spec.Heads + spec.KvHeads; head++)
            for (var j = 0; j < rotary / 2; j++)
            {
                var a = head * d + (spec.Rope!.Interleaved ? 2 * j : j);
                var b = a + (spec.Rope.Interleaved ? 1 : rotary / 2);
                var (u, v, c, s) = (x[a], x[b], cos[angles + j], sin[angles + j]);
                (x[a], x[b]) = (u * c - v * s, v * c + u * s);
            }

        return x;
    }

    /// <summary>The rows of the tokens at positions 30 and on, from pages 2, 0, 1.</summary>
    private static float[] Ragged(float[] pages, int kvHeads, int headDim)
    {
        int[] table = [2, 0, 1];
        var rows = new float[Tokens * kvHeads * headDim];
        for (var t = 0; t < Tokens; t++)
            for (var head = 0; head < kvHeads; head++)
                pages.AsSpan(((table[(t + 30) / 64] * kvHeads + head) * 64 + (t + 30) % 64) * headDim, headDim).CopyTo(rows.AsSpan((t * kvHeads + head) * headDim));
        return rows;
    }
}
