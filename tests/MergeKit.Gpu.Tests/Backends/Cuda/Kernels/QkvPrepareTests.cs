using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Bias, rotation and the write of keys and values, ragged and in pages, against plain loops.</summary>
public class QkvPrepareTests
{
    private const int Tokens = 70, Pages = 3;

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
        var (all, width, half) = ((heads + 2 * kvHeads) * headDim, kvHeads * headDim, Math.Max(1, rotary / 2));
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var (qkv, bias) = (Gpu.Random(Tokens * all, 1), Gpu.Random(all, 2));
            var (cos, sin) = (Gpu.Random(Tokens * half, 3), Gpu.Random(Tokens * half, 4));
            using var input = gpu.Send(qkv, type);
            using var offset = gpu.Send(bias, CudaType.Float32);
            using var cosines = gpu.Send(cos, CudaType.Float32);
            using var sines = gpu.Send(sin, CudaType.Float32);
            using var rows = gpu.Send(Enumerable.Range(0, Tokens).Select(t => Tokens - 1 - t).ToArray());
            using var places = gpu.Send(Enumerable.Range(0, Tokens).Select(t => new Int2(0, t + 30)).ToArray());
            using var table = gpu.Send(new[] { 2, 0, 1 });
            using var queries = gpu.Poisoned((long)Tokens * heads * headDim, type);
            using var keys = gpu.Poisoned((long)Tokens * width, type);
            using var values = gpu.Poisoned((long)Tokens * width, type);
            using var keyPages = gpu.Poisoned(Pages * 64L * width, type);
            using var valuePages = gpu.Poisoned(Pages * 64L * width, type);
            QkvPrepare.Launch(gpu.Cuda, spec, type, Tokens, new QkvPrepare.Parameters
            {
                Qkv = input.Pointer,
                Bias = biased ? offset.Pointer : 0,
                Cos = cosines.Pointer,
                Sin = sines.Pointer,
                RopeRows = rows.Pointer,
                Places = places.Pointer,
                Table = table.Pointer,
                Queries = queries.Pointer,
                Keys = keys.Pointer,
                Values = values.Pointer,
                KeyPages = keyPages.Pointer,
                ValuePages = valuePages.Pointer,
                TableStride = Pages,
                QueryWeights = 1,
                KeyWeights = 1,
            });
            var expected = Enumerable.Range(0, Tokens).Select(t => Token(spec, qkv.AsSpan(t * all, all), biased ? bias : null, cos, sin, (Tokens - 1 - t) * half)).ToArray();
            var (q, k) = (heads * headDim, kvHeads * headDim);
            var tolerance = type == CudaType.Float32 ? 1e-6 : 3e-3;
            Assert.InRange(Gpu.Error([.. expected.SelectMany(token => token[..q])], gpu.Read(queries, type)), 0, tolerance);
            float[] wantedKeys = [.. expected.SelectMany(token => token[q..(q + k)])], wantedValues = [.. expected.SelectMany(token => token[(q + k)..])];
            Assert.InRange(Gpu.Error(wantedKeys, gpu.Read(keys, type)), 0, tolerance);
            Assert.InRange(Gpu.Error(wantedValues, gpu.Read(values, type)), 0, tolerance);
            Assert.Equal(gpu.Read(keys, type), Ragged(gpu.Read(keyPages, type), kvHeads, headDim));
            Assert.Equal(gpu.Read(values, type), Ragged(gpu.Read(valuePages, type), kvHeads, headDim));
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
