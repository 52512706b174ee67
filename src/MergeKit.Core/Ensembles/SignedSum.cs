using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>A weighted sum of log-laws, weights of any sign: the kernel of the log-linear and contrastive rules.</summary>
internal static class SignedSum
{
    /// <summary>ln 1e-10: what an impossible token counts as under a negative coefficient, else it alone would win everything.</summary>
    public static double DefaultFloor { get; } = Math.Log(1e-10);

    /// <summary>The form of a plain sum of logits.</summary>
    public static LawForm Form { get; } = new(LawRule.LogitSum);

    /// <summary>The law of a plain sum: softmax(sum_k c_k z_k), only minus infinity raised under a negative coefficient.</summary>
    public static void Law<T>(ReadOnlySpan<ReadOnlyMemory<T>> members, ReadOnlySpan<double> coefficients, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Combine(members, coefficients, DefaultFloor, everyBelow: false, logProbs);
        RowMath.Normalize(logProbs);
    }

    /// <summary>result = sum_k c_k l_k up to a constant. Impossible tokens under a positive coefficient stay impossible.</summary>
    /// <param name="members">Rows; those of coefficient 0 are not read.</param>
    /// <param name="coefficients">c_k.</param>
    /// <param name="floor">Under a negative coefficient log-probabilities below this count as this.</param>
    /// <param name="everyBelow">Whether the floor holds for every low value, or for minus infinity alone.</param>
    /// <param name="result">Receives the sums, not normalised.</param>
    [SkipLocalsInit]
    public static void Combine<T>(
        ReadOnlySpan<ReadOnlyMemory<T>> members, ReadOnlySpan<double> coefficients, double floor, bool everyBelow, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Span<T> floors = stackalloc T[members.Length];
        for (var k = 0; k < members.Length; k++)
            floors[k] = Floor(members[k].Span, coefficients[k], floor, everyBelow);
        Span<T> scratch = stackalloc T[RowMath.Block];
        for (var start = 0; start < result.Length; start += RowMath.Block)
        {
            var sum = result.Slice(start, Math.Min(RowMath.Block, result.Length - start));
            var isFirst = true;
            for (var k = 0; k < members.Length; k++)
            {
                if (coefficients[k] == 0)
                    continue;
                scoped var row = members[k].Span.Slice(start, sum.Length);
                if (!T.IsNegativeInfinity(floors[k]))
                {
                    Raise(row, floors[k], everyBelow, scratch[..sum.Length]);
                    row = scratch[..sum.Length];
                }

                if (isFirst)
                    TensorPrimitives.Multiply(row, T.CreateChecked(coefficients[k]), sum);
                else
                    TensorPrimitives.MultiplyAdd(row, T.CreateChecked(coefficients[k]), sum, sum);
                isFirst = false;
            }

            if (isFirst)
                sum.Clear();
        }
    }

    /// <summary>The floor in terms of the row's own numbers; minus infinity where none is needed.</summary>
    private static T Floor<T>(ReadOnlySpan<T> row, double coefficient, double floor, bool everyBelow)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (coefficient >= 0 || (!everyBelow && !T.IsNegativeInfinity(TensorPrimitives.Min(row))))
            return T.NegativeInfinity;
        var total = RowMath.LogSumExp(row);
        return double.IsNegativeInfinity(total) ? T.Zero : T.CreateChecked(floor + total);
    }

    private static void Raise<T>(ReadOnlySpan<T> row, T floor, bool everyBelow, Span<T> raised)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (everyBelow)
        {
            TensorPrimitives.Max(row, floor, raised);
            return;
        }

        for (var i = 0; i < row.Length; i++)
            raised[i] = T.IsNegativeInfinity(row[i]) ? floor : row[i];
    }
}
