using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>Products on every path, both ways of computing and every stored type against a plain loop in double precision.</summary>
public sealed class MatrixProductTests
{
    private static readonly DType[] Types = [DType.F32, DType.BF16, DType.F16, DType.F8E4M3, DType.F8E5M2, DType.F64];

    public static TheoryData<InstructionPath, DType, bool> Cases
    {
        get
        {
            var data = new TheoryData<InstructionPath, DType, bool>();
            foreach (var path in KernelPaths.Supported)
            {
                foreach (var type in Types)
                {
                    data.Add(path, type, true);
                    data.Add(path, type, false);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_the_plain_loop(InstructionPath path, DType type, bool skinny)
    {
        using var pool = new WorkerPool(2);
        var random = new SplitMix(7);
        int[] sizes = [1, 3, 7, 16, 31, 33, 65, 127, 130];
        foreach (var tokens in skinny ? new[] { 1, 2, 3, 4, 5, 7, 8 } : [1, 5, 6, 7, 33, 131])
        {
            for (var trial = 0; trial < 6; trial++)
            {
                var (rows, columns) = (sizes[random.Below(sizes.Length)], sizes[random.Below(sizes.Length)]);
                var beta = trial switch { 0 => 1f, 1 => -0.5f, _ => 0f };
                CheckOne(path, type, skinny, pool, random, tokens, rows, columns, random.Below(4), random.Below(5), beta);
            }
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Deep_products_are_cut_and_joined(InstructionPath path)
    {
        using var pool = new WorkerPool(2);
        var random = new SplitMix(8);
        foreach (var columns in new[] { 767, 768, 769, 1537, 3001 })
        {
            CheckOne(path, DType.BF16, false, pool, random, 13, 67, columns, 1, 2, 0.25f);
            CheckOne(path, DType.F32, false, pool, random, 13, 67, columns, 0, 0, 0);
            CheckOne(path, DType.F32, true, pool, random, 3, 67, columns, 0, 0, 0);
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Threads_do_not_change_a_bit(InstructionPath path)
    {
        var random = new SplitMix(9);
        foreach (var (tokens, rows, columns) in new[] { (1, 300, 576), (5, 1031, 77), (600, 200, 300), (37, 1031, 801) })
        {
            using var weights = new StoredWeights(random, DType.BF16, rows, columns, 0);
            var x = random.Array((long)tokens * columns);
            var results = new List<float[]>();
            foreach (var threads in new[] { 1, 2, 3, 8 })
            {
                using var pool = new WorkerPool(threads);
                var y = new float[tokens * rows];
                MatrixProduct.Multiply(path, x, tokens, weights.Matrix, y, rows, pool, 0);
                results.Add(y);
            }

            Assert.All(results, result => Assert.Equal(results[0], result));
        }
    }

    [Fact]
    public void Several_matrices_at_once_give_the_bits_of_each_alone()
    {
        using var pool = new WorkerPool(3);
        var random = new SplitMix(12);
        const int columns = 173;
        foreach (var types in new[] { new[] { DType.BF16, DType.BF16, DType.BF16 }, [DType.F32, DType.BF16, DType.F16] })
        {
            var (rows, first) = (new[] { 200, 3, 61 }, new[] { 0, 200, 203 });
            var weights = rows.Zip(types, (count, type) => new StoredWeights(random, type, count, columns, 5)).ToArray();
            foreach (var tokens in new[] { 1, 2, 7, 8, 9, 20 })
            {
                var x = random.Array(tokens * columns);
                var together = random.Array(tokens * 264);
                var alone = together.ToArray();
                MatrixProduct.MultiplyBlocks(x, tokens, [.. weights.Select((w, i) => (w.Matrix, first[i]))], together, 264, pool, 1);
                for (var i = 0; i < 3; i++)
                    MatrixProduct.Multiply(x, tokens, weights[i].Matrix, alone.AsSpan(first[i]), 264, pool, 1);
                Assert.Equal(alone, together);
            }

            Array.ForEach(weights, w => w.Dispose());
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Other_rows_of_the_batch_do_not_change_a_bit(InstructionPath path)
    {
        using var pool = new WorkerPool(2);
        var random = new SplitMix(10);
        const int rows = 70, columns = 901, most = 40;
        using var weights = new StoredWeights(random, DType.F32, rows, columns, 0);
        var x = random.Array(most * columns);
        foreach (var skinnyTokens in new[] { 0, most })
        {
            var all = new float[most * rows];
            MatrixProduct.Multiply(path, x, most, weights.Matrix, all, rows, pool, 0, skinnyTokens);
            foreach (var token in new[] { 0, 11, most - 1 })
            {
                var alone = new float[rows];
                MatrixProduct.Multiply(path, x.AsSpan(token * columns, columns), 1, weights.Matrix, alone, rows, pool, 0, skinnyTokens);
                Assert.Equal(all.AsSpan(token * rows, rows).ToArray(), alone);
            }
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public unsafe void Every_8_and_16_bit_weight_is_widened_exactly(InstructionPath path)
    {
        using var pool = new WorkerPool(1);
        foreach (var type in new[] { DType.BF16, DType.F16, DType.F8E4M3, DType.F8E5M2 })
        {
            var count = type.Size() == 1 ? 256 : 65536;
            var bits = new byte[count * type.Size()];
            for (var i = 0; i < count; i++)
            {
                bits[i * type.Size()] = (byte)i;
                if (type.Size() == 2)
                    bits[(i * 2) + 1] = (byte)(i >> 8);
            }

            fixed (byte* data = bits)
            {
                foreach (var skinnyTokens in new[] { 0, 8 })
                {
                    // Sixteen weights a row, met by unit vectors: every sum has one term that counts, if none of the others is an
                    // infinity or NaN.
                    var identity = new float[256];
                    for (var i = 0; i < 16; i++)
                        identity[i * 17] = 1;
                    var y = new float[16 * (count / 16)];
                    MatrixProduct.Multiply(path, identity, 16, new WeightMatrix((nint)data, type, count / 16, 16, 16), y, count / 16, pool, 0, skinnyTokens == 0 ? 0 : 16);
                    for (var i = 0; i < count; i++)
                    {
                        var others = Enumerable.Range(i / 16 * 16, 16).Where(at => at != i).Select(at => Expected(type, at));
                        var actual = y[((i % 16) * (count / 16)) + (i / 16)];
                        Assert.Equal(others.All(double.IsFinite) ? (float)Expected(type, i) : float.NaN, actual);
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Weights_stored_the_other_way_round(InstructionPath path)
    {
        using var pool = new WorkerPool(2);
        var random = new SplitMix(15);
        foreach (var type in Types)
        {
            foreach (var (tokens, outputs, inputs) in new[] { (1, 1, 1), (1, 130, 33), (5, 65, 900), (33, 31, 7), (300, 67, 17) })
                CheckOne(path, type, null, pool, random, tokens, outputs, inputs, random.Below(4), random.Below(5), tokens == 5 ? 0.5f : 0);
        }
    }

    [Fact]
    public void Empty_products_are_defined()
    {
        using var pool = new WorkerPool(2);
        var y = new[] { float.NaN, float.NaN };
        MatrixProduct.Multiply([], 2, new WeightMatrix(0, DType.F32, 1, 0, 0), y, 1, pool);
        Assert.Equal([0f, 0f], y);
        MatrixProduct.Multiply([], 0, new WeightMatrix(0, DType.F32, 0, 5, 5), [], 0, pool);
    }

    [Fact]
    public void Refuses_what_does_not_fit()
    {
        using var pool = new WorkerPool(1);
        using var weights = new StoredWeights(new SplitMix(1), DType.F32, 4, 6, 0);
        var w = weights.Matrix;
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[11], 2, w, new float[8], 4, pool));
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[12], 2, w, new float[7], 4, pool));
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[12], 2, w, new float[8], 3, pool));
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[12], 2, w with { Type = DType.I16 }, new float[8], 4, pool));
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[12], 2, w with { RowStrideElements = 5 }, new float[8], 4, pool));
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[12], 2, w with { Data = 0 }, new float[8], 4, pool));
        Assert.Throws<ArgumentOutOfRangeException>(() => w.Slice(2, 3));
    }

    private static double Expected(DType type, int bits) => type switch
    {
        DType.BF16 => BitConverter.UInt32BitsToSingle((uint)bits << 16),
        DType.F16 => (double)BitConverter.UInt16BitsToHalf((ushort)bits),
        DType.F8E4M3 => StoredWeights.E4M3((byte)bits),
        _ => StoredWeights.E5M2((byte)bits),
    };

    private static void CheckOne(
        InstructionPath path, DType type, bool? skinny, WorkerPool pool, SplitMix random, int tokens, int rows, int columns, int extraStride, int extraY, float beta)
    {
        // Neither skinny nor packed means weights stored [in, out].
        using var weights = skinny is null ? new StoredWeights(random, type, columns, rows, extraStride) : new StoredWeights(random, type, rows, columns, extraStride);
        var x = random.Array((long)tokens * columns);
        var stride = rows + extraY;
        var before = random.Array((long)tokens * stride);
        if (beta == 0)
            Array.Fill(before, float.NaN);
        var y = (float[])before.Clone();
        var result = y.AsSpan(0, ((tokens - 1) * stride) + rows);
        if (skinny is null)
            MatrixProduct.MultiplyTransposed(path, x, tokens, weights.Matrix, result, stride, pool, beta);
        else
            MatrixProduct.Multiply(path, x, tokens, weights.Matrix, result, stride, pool, beta, skinny.Value ? 8 : 0);
        for (var t = 0; t < tokens; t++)
        {
            for (var o = 0; o < stride; o++)
            {
                var at = (t * stride) + o;
                if (o >= rows)
                {
                    Assert.Equal(before[at], y[at]);
                    continue;
                }

                var (sum, magnitude) = beta == 0 ? (0, 0) : ((double)beta * before[at], Math.Abs((double)beta * before[at]));
                for (var i = 0; i < columns; i++)
                {
                    var term = x[(t * columns) + i] * weights.Values[skinny is null ? (i * rows) + o : (o * columns) + i];
                    sum += term;
                    magnitude += Math.Abs(term);
                }

                // A float32 sum errs by a few roundings of its partial sums, which are bounded by the sum of the magnitudes.
                Assert.True(Math.Abs(sum - y[at]) <= 1e-6 * (1e-3 + magnitude), $"{path} {type} skinny: {skinny} [{tokens} x {columns}] x [{rows} x {columns}]^T at {t}, {o}: {y[at]} is not {sum}");
            }
        }
    }
}
