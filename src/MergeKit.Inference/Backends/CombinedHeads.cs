using MergeKit.Core.Models;

namespace MergeKit.Inference.Backends;

/// <summary>One model's part in a combined law.</summary>
/// <param name="Backend">Where the model runs.</param>
/// <param name="Weights">Its output matrix, which may have more rows than the combined law has ids.</param>
/// <param name="Hidden">Hidden states after the final norm.</param>
/// <param name="First">The row of <paramref name="Hidden"/> that belongs to the first combined row; the others follow it.</param>
public sealed record HeadRows(IBackend Backend, HeadWeights Weights, IBuffer Hidden, int First);

/// <summary>Output matrices of several models over the same ids, whose laws become one at every row.</summary>
/// <param name="Heads">One per member. Two may have the same weights.</param>
/// <param name="Rows">How many rows of each.</param>
/// <param name="Combination">The rule, ids and coefficients, [rows, heads].</param>
public sealed record CombinedHeads(IReadOnlyList<HeadRows> Heads, int Rows, LawCombination Combination)
{
    /// <summary>The coefficient of a head at a row.</summary>
    public float Coefficient(int row, int head) => Combination.Coefficients.Span[(row * Heads.Count) + head];
}
