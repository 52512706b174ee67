using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda.Decompositions;

namespace MergeKit.Inference.Tests.Backends.Cuda.Decompositions;

/// <summary>Probes accept right decompositions, of matrices without full rank too, and refuse spoiled ones.</summary>
public sealed class DecompositionProbeTests
{
    [Theory]
    [InlineData(20, 33, 20)]
    [InlineData(20, 20, 7)]
    [InlineData(1, 5, 1)]
    public void Right_ones_pass_and_spoiled_ones_do_not(int rows, int columns, int rank)
    {
        var words = new uint[rank * columns];
        new CounterRandom(1, "m", 0).Fill(0, words);
        var matrix = Enumerable.Range(0, rows).Select(i => Enumerable.Range(0, columns).Select(j => words[i % rank * columns + j] / (double)uint.MaxValue - 0.4).ToArray()).ToArray();
        var svd = ThinSvd.Of([.. matrix.Select(row => (double[])row.Clone())], Here);
        Assert.Equal(rank, svd.Values.Length);
        Assert.True(DecompositionProbe.Confirms(matrix, svd, Here));
        svd.Values[^1] += 1e-8 * svd.Values[0];
        Assert.False(DecompositionProbe.Confirms(matrix, svd, Here));
        svd.Values[^1] -= 1e-8 * svd.Values[0];
        svd.Left[0][0] += 1e-8;
        Assert.False(DecompositionProbe.Confirms(matrix, svd, Here));
    }

    [Fact]
    public void An_empty_one_is_not_confirmed() => Assert.False(DecompositionProbe.Confirms([[0, 0]], ThinSvd.Of([[0, 0]], Here), Here));

    private static void Here(int count, Action<int> body)
    {
        for (var i = 0; i < count; i++)
            body(i);
    }
}
