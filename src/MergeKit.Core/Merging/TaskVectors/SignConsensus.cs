using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>TIES' election: S = sum_i E_i, majority + where S >= 0; the E_i of the majority's sign are added, zeros never count.</summary>
internal static class SignConsensus
{
    /// <summary>Merges the trimmed task vectors that stand in a chunk's rows.</summary>
    /// <param name="chunk">Rows of task vectors, not yet weighted.</param>
    /// <param name="models">The rows that take part.</param>
    /// <param name="scales">E_i = scale_i times row i.</param>
    /// <param name="weights">Divide by the sum of these over the entries that count (1 where that is exactly 0); null: do not divide.</param>
    /// <param name="result">The merged task vector.</param>
    /// <param name="votes">The election is held among votes_i times row i; null: among the E_i.</param>
    /// <param name="least">The least divisor.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe void Merge(Chunk chunk, int[] models, float[] scales, float[]? weights, Span<float> result, float[]? votes = null, float least = 0)
    {
        votes ??= scales;
        var rows = stackalloc float*[models.Length];
        for (var at = 0; at < models.Length; at++)
            rows[at] = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(chunk.Source(models[at]))); // native memory: does not move
        var i = 0;
        ref var to = ref MemoryMarshal.GetReference(result);
        for (; i <= result.Length - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var sum = Vector512<float>.Zero;
            for (var at = 0; at < scales.Length; at++)
                sum += Vector512.Load(rows[at] + i) * votes[at];
            var positive = Vector512.GreaterThanOrEqual(sum, Vector512<float>.Zero);
            var (merged, divisor) = (Vector512<float>.Zero, Vector512<float>.Zero);
            for (var at = 0; at < scales.Length; at++)
            {
                var row = Vector512.Load(rows[at] + i);
                var vote = row * votes[at];
                var counts = Vector512.ConditionalSelect(positive,
                    Vector512.GreaterThan(vote, Vector512<float>.Zero), Vector512.LessThan(vote, Vector512<float>.Zero));
                merged += Vector512.ConditionalSelect(counts, row * scales[at], Vector512<float>.Zero);
                if (weights is not null)
                    divisor += Vector512.ConditionalSelect(counts, Vector512.Create(weights[at]), Vector512<float>.Zero);
            }

            if (weights is not null)
            {
                divisor = Vector512.ConditionalSelect(Vector512.Equals(divisor, Vector512<float>.Zero), Vector512<float>.One, divisor);
                merged /= least > 0 ? Vector512.Max(divisor, Vector512.Create(least)) : divisor;
            }

            merged.StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < result.Length; i++)
            result[i] = MergeOne(chunk, models, scales, weights, votes, least, i);
    }

    private static float MergeOne(Chunk chunk, int[] models, float[] scales, float[]? weights, float[] votes, float least, int i)
    {
        var sum = 0f;
        for (var at = 0; at < models.Length; at++)
            sum += chunk.Source(models[at])[i] * votes[at];
        var (merged, divisor) = (0f, 0f);
        for (var at = 0; at < models.Length; at++)
        {
            var vote = chunk.Source(models[at])[i] * votes[at];
            if (sum >= 0 ? vote > 0 : vote < 0)
            {
                merged += chunk.Source(models[at])[i] * scales[at];
                divisor += weights?[at] ?? 0;
            }
        }

        return weights is null || divisor == 0 ? merged : merged / (least > 0 ? Math.Max(divisor, least) : divisor);
    }
}
