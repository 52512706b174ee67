using System.Numerics.Tensors;

namespace MergeKit.Core.Merging;

/// <summary>The mean of rows of a matrix.</summary>
internal static class RowMean
{
    /// <summary>The mean of some rows, read one by one and summed in double precision; zeros where there is none.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="rows">The rows.</param>
    public static float[] Of(ITensorSource matrix, int width, IEnumerable<int> rows)
    {
        var (sum, wide, row, scratch, count) = (new double[width], new double[width], new float[width], new byte[width * sizeof(double)], 0);
        foreach (var index in rows)
        {
            matrix.Read((long)index * width, row, scratch);
            TensorPrimitives.ConvertTruncating<float, double>(row, wide);
            TensorPrimitives.Add<double>(sum, wide, sum);
            count++;
        }

        return Array.ConvertAll(sum, value => (float)(value / Math.Max(1, count)));
    }
}
