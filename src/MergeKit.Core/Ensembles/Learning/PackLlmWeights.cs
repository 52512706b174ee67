using System.Numerics.Tensors;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>A step of the greedy search.</summary>
/// <param name="Member">Who joined.</param>
/// <param name="Keep">The share that the mixture so far keeps.</param>
/// <param name="Nll">Mean negative log-likelihood with it.</param>
public sealed record PackStep(int Member, double Keep, double Nll);

/// <summary>What the greedy search found.</summary>
/// <param name="MemberNll">Of each member alone.</param>
/// <param name="Order">Members by rising NLL.</param>
/// <param name="Steps">From the second member on.</param>
/// <param name="Weights">The coefficients of the members' logits, in the order given.</param>
public sealed record PackResult(double[] MemberNll, int[] Order, IReadOnlyList<PackStep> Steps, double[] Weights);

/// <summary>PackLLM's weights by greedy search (Mavromatis et al. 2024); those by similarity are <see cref="Combiners.PerplexityCombiner.Weights"/>, the rule with these <see cref="Combiners.PackCombiner"/>.</summary>
public static class PackLlmWeights
{
    private const int BlockDoubles = 1 << 19;

    /// <summary>The greedy search: members by rising NLL; with each the logits become keep x current + (1 - keep) x next, keep from the grid 0, 1/steps .. 1,
    /// the smallest NLL wins and the smaller keep on ties.</summary>
    public static PackResult Greedy(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> gold, int steps)
    {
        if (members.Count == 0 || gold.Count == 0 || steps < 1)
            throw new LearningException(LearningError.InvalidInput, $"{members.Count} members, {gold.Count} positions and a grid of {steps} steps; wanted at least 1 of each");
        double[] Only(int k) => [.. Enumerable.Range(0, members.Count).Select(j => j == k ? 1.0 : 0.0)];
        double[] alone = [.. members.Select((_, k) => Nll(members, gold, Only(k), k, [1])[0])];
        int[] order = [.. Enumerable.Range(0, members.Count).OrderBy(k => alone[k])];
        double[] grid = [.. Enumerable.Range(0, steps + 1).Select(i => (double)i / steps)];
        var (weights, trace) = (Only(order[0]), new List<PackStep>());
        foreach (var next in order.Skip(1))
        {
            var nll = Nll(members, gold, weights, next, grid);
            var best = Enumerable.Range(0, grid.Length).MinBy(i => nll[i]);
            trace.Add(new PackStep(next, grid[best], nll[best]));
            weights = [.. weights.Select((weight, k) => k == next ? 1 - grid[best] : weight * grid[best])];
        }

        return new PackResult(alone, order, trace, weights);
    }

    /// <summary>The mean NLL of keep x (what the weights mix) + (1 - keep) x next for every value of keep; each position's logits are read once.</summary>
    private static double[] Nll(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> gold, double[] weights, int next, double[] keeps)
    {
        var (size, sums) = (members[0].VocabularySize, new double[keeps.Length]);
        var block = Math.Clamp(BlockDoubles / size, 1, gold.Count);
        var (buffer, current, joining, mixed) = (new double[block * size], new double[block * size], new double[block * size], new double[size]);
        for (var first = 0; first < gold.Count; first += block)
        {
            var count = Math.Min(block, gold.Count - first);
            Array.Clear(current);
            for (var k = 0; k < members.Count; k++)
            {
                if (weights[k] == 0)
                    continue;
                members[k].Read(first, count, buffer);
                TensorPrimitives.MultiplyAdd(buffer, weights[k], current, current);
            }

            members[next].Read(first, count, joining);
            for (var i = 0; i < count; i++)
                for (var j = 0; j < keeps.Length; j++)
                {
                    Mix(keeps[j], current.AsSpan(i * size, size), joining.AsSpan(i * size, size), mixed);
                    sums[j] += RowMath.LogSumExp<double>(mixed) - mixed[gold[first + i]];
                }
        }

        return [.. sums.Select(sum => sum / gold.Count)];
    }

    /// <summary>keep x + (1 - keep) y. A share of 0 reads nothing, so that an infinite logit does not matter.</summary>
    private static void Mix(double keep, ReadOnlySpan<double> x, ReadOnlySpan<double> y, Span<double> mixed)
    {
        if (keep == 0)
            y.CopyTo(mixed);
        else
            TensorPrimitives.Multiply(x, keep, mixed);
        if (keep is > 0 and < 1)
            TensorPrimitives.MultiplyAdd(y, 1 - keep, mixed, mixed);
    }
}
