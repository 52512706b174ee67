using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Merging;

/// <summary>Rows gathered by index against a plain loop, for random tables and any way of reading.</summary>
public class GatheredRowsTests
{
    private sealed record Matrix(float[] Values, DType Type) : ITensorSource
    {
        public string Description => $"matrix of {Values.Length}";

        public long Count => Values.Length;

        public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

        public void Read(long start, Span<float> destination, Span<byte> scratch) => Values.AsSpan((int)start, destination.Length).CopyTo(destination);
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(7, 40)]
    [InlineData(33, 64)]
    public void They_are_what_a_plain_loop_gives(int width, int rows)
    {
        var random = new SplitMix((ulong)(width * rows));
        var matrices = Enumerable.Range(0, 3).Select(i => (ITensorSource)new Matrix(Values(random, 50 * width), DType.F32)).ToList();
        var own = Enumerable.Range(0, 2).Select(_ => Enumerable.Range(0, rows).Select(row => (random.Next() % 4) switch { 0 => -1, 1 => (int)(random.Next() % 50), _ => Math.Min(row, 49) }).ToArray()).ToList();
        var defaults = Enumerable.Range(0, rows).Select(_ => (random.Next() % 4) switch { 0 => RowSource.Zero, 1 => RowSource.MeanOfOwners, 2 => RowSource.MeanOfRows, _ => new RowSource(2, (int)(random.Next() % 50)) }).ToArray();
        for (var row = 0; row < rows; row++)
            if (defaults[row] == RowSource.MeanOfOwners && own.TrueForAll(mine => mine[row] < 0))
                defaults[row] = RowSource.Zero;
        var forced = Enumerable.Range(0, rows).Where(_ => random.Next() % 9 == 0).ToHashSet();
        for (var input = 0; input < 2; input++)
        {
            var expected = Expected(matrices, own, defaults, forced, input, rows, width);
            var gathered = new GatheredRows(new RowTable(own, defaults, forced), matrices, input, width);
            Assert.Equal(expected.Length, gathered.Count);
            foreach (var step in new[] { 1, width, 3 * width + 1, expected.Length })
                for (var start = 0; start < expected.Length; start += step)
                {
                    var part = new float[Math.Min(step, expected.Length - start)];
                    gathered.Read(start, part, new byte[8 * part.Length]);
                    for (var i = 0; i < part.Length; i++)
                        Assert.Equal(expected[start + i], part[i], 1e-6f);
                }
        }
    }

    [Fact]
    public void Borrowed_rows_are_rounded_to_the_matrix_own_type()
    {
        var matrices = new ITensorSource[] { new Matrix([1, 2], DType.BF16), new Matrix([1.001f, 3.003f], DType.F32) };
        var gathered = new GatheredRows(new RowTable([[0, -1], [0, 1]], [RowSource.Zero, new RowSource(1, 1)], new HashSet<int>()), matrices, 0, 1);
        var row = new float[2];
        gathered.Read(0, row, new byte[16]);
        Assert.Equal([1f, 3f], row);
    }

    [Fact]
    public void The_description_tells_numberings_apart()
    {
        var matrices = new ITensorSource[] { new Matrix([1, 2], DType.F32) };
        string Describe(params int[] own) => new GatheredRows(new RowTable([own], [RowSource.Zero, RowSource.Zero], new HashSet<int>()), matrices, 0, 1).Description;
        Assert.NotEqual(Describe(0, 1), Describe(1, 0));
        Assert.Equal(Describe(1, 0), Describe(1, 0));
    }

    private static float[] Expected(List<ITensorSource> matrices, List<int[]> own, RowSource[] defaults, HashSet<int> forced, int input, int rows, int width)
    {
        var result = new float[rows * width];
        ReadOnlySpan<float> Row(int matrix, int row) => ((Matrix)matrices[matrix]).Values.AsSpan(row * width, width);
        var padding = new List<int>();
        for (var row = 0; row < rows; row++)
        {
            var target = result.AsSpan(row * width, width);
            if (own[input][row] >= 0 && !forced.Contains(row))
                Row(input, own[input][row]).CopyTo(target);
            else if (defaults[row].Matrix >= 0)
                Row(defaults[row].Matrix, defaults[row].Row).CopyTo(target);
            else if (defaults[row] == RowSource.MeanOfRows)
                padding.Add(row);
            else if (defaults[row] == RowSource.MeanOfOwners)
            {
                var owners = Enumerable.Range(0, 2).Where(i => own[i][row] >= 0).ToList();
                for (var column = 0; column < width; column++)
                    target[column] = owners.Sum(i => Row(i, own[i][row])[column]) / owners.Count;
            }
        }

        var tokens = Enumerable.Range(0, rows).Where(row => defaults[row] != RowSource.MeanOfRows).ToList();
        foreach (var row in padding)
            for (var column = 0; column < width; column++)
                result[row * width + column] = (float)(tokens.Sum(token => (double)result[token * width + column]) / Math.Max(1, tokens.Count));
        return result;
    }

    private static float[] Values(SplitMix random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next() % 2000 / 1000f - 1)];
}
