using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>Checks a decomposition M = sum_k s_k u_k v_k^T with a few random vectors: M x must be found again in it, and the vectors must be orthonormal.</summary>
internal static class DecompositionProbe
{
    private const int Probes = 3;
    private const double Tolerance = 1e-11;

    /// <summary>Whether all probes agree.</summary>
    public static bool Confirms(double[][] rows, ThinSvd svd)
    {
        if (svd.Values.Length == 0)
            return false;
        for (var probe = 0; probe < Probes; probe++)
        {
            var (x, y) = (Random(rows[0].Length, 2 * probe), Random(svd.Values.Length, 2 * probe + 1));
            var along = Array.ConvertAll(svd.Right, vector => TensorPrimitives.Dot<double>(vector, x));
            TensorPrimitives.Multiply(along, svd.Values, along);
            var difference = Sum(svd.Left, along);
            for (var i = 0; i < rows.Length; i++)
                difference[i] -= TensorPrimitives.Dot<double>(rows[i], x);
            if (!(TensorPrimitives.Norm<double>(difference) <= Tolerance * svd.Values[0] * TensorPrimitives.Norm<double>(x)) || !IsOrthonormal(svd.Left, y) || !IsOrthonormal(svd.Right, y))
                return false;
        }

        return true;
    }

    private static bool IsOrthonormal(double[][] vectors, double[] y)
    {
        var sum = Sum(vectors, y);
        var back = Array.ConvertAll(vectors, vector => TensorPrimitives.Dot<double>(vector, sum));
        TensorPrimitives.Subtract(back, y, back);
        return TensorPrimitives.Norm<double>(back) <= Tolerance * TensorPrimitives.Norm<double>(y);
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
