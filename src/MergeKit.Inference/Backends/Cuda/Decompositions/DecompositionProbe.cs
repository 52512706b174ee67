using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>Checks a decomposition M = sum_k s_k u_k v_k^T with a few random vectors: M x must be found again in it, and the vectors must be orthonormal.</summary>
internal static class DecompositionProbe
{
    private const int Probes = 2;
    private const double Tolerance = 1e-11;

    /// <summary>Whether all probes agree.</summary>
    public static bool Confirms(double[][] rows, ThinSvd svd, ParallelLoop loop)
    {
        if (svd.Values.Length == 0)
            return false;
        for (var probe = 0; probe < Probes; probe++)
        {
            var (x, y) = (Random(rows[0].Length, 2 * probe), Random(svd.Values.Length, 2 * probe + 1));
            var along = Products(svd.Right, x, loop);
            TensorPrimitives.Multiply(along, svd.Values, along);
            var difference = Sum(svd.Left, along);
            TensorPrimitives.Subtract(difference, Products(rows, x, loop), difference);
            if (!(TensorPrimitives.Norm<double>(difference) <= Tolerance * svd.Values[0] * TensorPrimitives.Norm<double>(x)) || !IsOrthonormal(svd.Left, y, loop) || !IsOrthonormal(svd.Right, y, loop))
                return false;
        }

        return true;
    }

    private static bool IsOrthonormal(double[][] vectors, double[] y, ParallelLoop loop)
    {
        var sum = Sum(vectors, y);
        var back = Products(vectors, sum, loop);
        TensorPrimitives.Subtract(back, y, back);
        return TensorPrimitives.Norm<double>(back) <= Tolerance * TensorPrimitives.Norm<double>(y);
    }

    private static double[] Products(double[][] vectors, double[] x, ParallelLoop loop)
    {
        var products = new double[vectors.Length];
        loop(vectors.Length, i => products[i] = TensorPrimitives.Dot<double>(vectors[i], x));
        return products;
    }

    private static double[] Sum(double[][] vectors, double[] factors)
    {
        var sum = new double[vectors[0].Length];
        for (var k = 0; k < vectors.Length; k++)
            TensorPrimitives.MultiplyAdd(vectors[k], factors[k], sum, sum);
        return sum;
    }

    private static double[] Random(int count, int seed)
    {
        var words = new uint[count];
        new CounterRandom((ulong)seed, "probe", 0).Fill(0, words);
        return Array.ConvertAll(words, word => word / (double)uint.MaxValue - 0.5);
    }
}
