using System.Numerics;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>Draws solved examples as lm-evaluation-harness does: one generator per task, one draw per document, in order.</summary>
public sealed class FewShotSampler(BigInteger seed, int pool, int shots, bool excludeSelf)
{
    private readonly MersenneTwister _random = new(seed);

    /// <summary>The examples of the next document, by index. With <c>excludeSelf</c> one more is drawn, and the document itself
    /// (<paramref name="self"/>, its index in the pool) or the surplus is dropped. Errors: a pool smaller than the draw.</summary>
    public int[] Next(int self) =>
        excludeSelf ? [.. _random.Sample(pool, shots + 1).Where(index => index != self).Take(shots)] : _random.Sample(pool, shots);
}
