using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>A mixture of probabilities, computed from logits without leaving log space: the kernel of the linear rules.</summary>
internal static class LogMixture
{
    /// <summary>The form of a mixture.</summary>
    public static LawForm Form { get; } = new(LawRule.Mixture);

    /// <summary>result = ln sum_k w_k softmax(z_k); a member of weight 0 is not read.</summary>
    [SkipLocalsInit]
    public static void Combine<T>(ReadOnlySpan<ReadOnlyMemory<T>> members, ReadOnlySpan<double> logWeights, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Span<T> offsets = stackalloc T[members.Length];
        Span<int> read = stackalloc int[members.Length];
        var count = 0;
        for (var k = 0; k < members.Length; k++)
        {
            if (double.IsNegativeInfinity(logWeights[k]))
                continue;
            var total = RowMath.LogSumExp(members[k].Span);
            if (double.IsNegativeInfinity(total))
                throw new EnsembleException(EnsembleError.EmptySupport, $"member {k + 1} of {members.Length} allows no token at all");
            (offsets[count], read[count++]) = (T.CreateChecked(logWeights[k] - total), k);
        }

        Span<T> largest = stackalloc T[RowMath.Block], sum = stackalloc T[RowMath.Block], term = stackalloc T[RowMath.Block];
        for (var start = 0; start < result.Length; start += RowMath.Block)
        {
            var size = Math.Min(RowMath.Block, result.Length - start);
            var max = largest[..size];
            var total = sum[..size];
            var one = term[..size];
            TensorPrimitives.Add(members[read[0]].Span.Slice(start, size), offsets[0], max);
            for (var i = 1; i < count; i++)
            {
                TensorPrimitives.Add(members[read[i]].Span.Slice(start, size), offsets[i], one);
                TensorPrimitives.Max<T>(max, one, max);
            }

            // A token that is impossible for all stays so, without infinity minus infinity on the way.
            TensorPrimitives.Max(max, T.CreateSaturating(-1e30), max);
            total.Clear();
            for (var i = 0; i < count; i++)
                RowExp.Accumulate(members[read[i]].Span.Slice(start, size), offsets[i], max, total);

            TensorPrimitives.Log<T>(total, total);
            TensorPrimitives.Add<T>(max, total, result.Slice(start, size));
        }
    }

    /// <summary>ln sum_k w_k p_k of one token.</summary>
    public static double LogProb(ReadOnlySpan<double> tokenLogProbs, ReadOnlySpan<double> logWeights)
    {
        Span<double> terms = stackalloc double[tokenLogProbs.Length];
        for (var k = 0; k < terms.Length; k++)
            terms[k] = double.IsNegativeInfinity(logWeights[k]) ? double.NegativeInfinity : logWeights[k] + tokenLogProbs[k];
        return RowMath.LogSumExp<double>(terms);
    }

    /// <summary>ln (w / sum w).</summary>
    /// <exception cref="EnsembleException">A weight is negative or no number, or all are zero.</exception>
    public static double[] LogWeights(IReadOnlyList<double> weights)
    {
        var sum = 0.0;
        for (var k = 0; k < weights.Count; k++)
        {
            if (weights[k] < 0)
                throw new EnsembleException(EnsembleError.NegativeWeight, $"weight {k + 1} is {weights[k]}: a mixture of probabilities takes no negative weight; use log_linear");
            if (!double.IsFinite(weights[k]))
                throw new EnsembleException(EnsembleError.InvalidParameter, $"weight {k + 1} is {weights[k]}: a finite number is wanted");
            sum += weights[k];
        }

        return sum > 0 ? [.. weights.Select(weight => Math.Log(weight / sum))]
            : throw new EnsembleException(EnsembleError.ZeroWeightSum, "the weights sum to zero: no member would be run");
    }
}
