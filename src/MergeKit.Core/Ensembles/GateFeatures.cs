using System.Numerics;
using System.Numerics.Tensors;

namespace MergeKit.Core.Ensembles;

/// <summary>What a gate looks at. Per member: entropy in nats, largest probability, its margin over the second, and the running mean of the
/// negative log-likelihood. For all: the share of members that agree on the commonest arg-max, ln(1 + position), and the class of the last token as 0 or 1.</summary>
public static class GateFeatures
{
    private const int PerMember = 4, Shared = 2, Classes = 5;

    /// <summary>Number of features.</summary>
    public static int Count(int members) => (PerMember * members) + Shared + Classes;

    /// <summary>The features' names, in order; members by number from 1.</summary>
    public static IReadOnlyList<string> Names(int members) =>
    [
        .. Enumerable.Range(1, members).SelectMany(k => new[] { $"entropy {k}", $"top {k}", $"margin {k}", $"nll {k}" }),
        "agreement", "position", .. Enum.GetNames<TokenClass>().Select(name => "after " + name.ToLowerInvariant()),
    ];

    /// <summary>Doubles of memory: sums of negative log-likelihoods, and the number of tokens.</summary>
    public static int StateSize(int members) => members + 1;

    /// <summary>The memory after a token. What is impossible for a member counts as ln 1e-10.</summary>
    public static void Observe(ReadOnlySpan<double> state, ReadOnlySpan<double> tokenLogProbs, Span<double> next)
    {
        for (var k = 0; k < tokenLogProbs.Length; k++)
            next[k] = state[k] - Math.Max(tokenLogProbs[k], SignedSum.DefaultFloor);
        next[^1] = state[^1] + 1;
    }

    /// <summary>Writes the features of one step.</summary>
    public static void Compute<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<double> features)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        features.Clear();
        Span<int> best = stackalloc int[members.Length];
        for (var k = 0; k < members.Length; k++)
        {
            var own = features.Slice(PerMember * k, PerMember);
            best[k] = Describe(members[k].Span, own);
            own[3] = step.State[k] / Math.Max(1, step.State[^1]);
        }

        var shared = features[(PerMember * members.Length)..];
        foreach (var id in best)
            shared[0] = Math.Max(shared[0], best.Count(id) / (double)best.Length);
        shared[1] = Math.Log(1 + step.Position);
        shared[Shared + (int)step.LastClass] = 1;
    }

    /// <summary>Entropy, largest probability and margin; returns the arg-max.</summary>
    private static int Describe<T>(ReadOnlySpan<T> row, Span<double> features)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (total, top) = (RowMath.LogSumExp(row), RowMath.ArgMax(row));
        var (first, second, mean) = (Math.Exp(double.CreateChecked(row[top]) - total), double.NegativeInfinity, 0.0);
        Span<T> shifted = stackalloc T[RowMath.Block], weights = stackalloc T[RowMath.Block];
        for (var start = 0; start < row.Length; start += RowMath.Block)
        {
            var (size, values) = (Math.Min(RowMath.Block, row.Length - start), 0);
            var logs = shifted[..size];
            TensorPrimitives.Subtract(row.Slice(start, size), T.CreateChecked(total), logs);
            TensorPrimitives.Max(logs, T.CreateChecked(-80), logs);
            TensorPrimitives.Exp<T>(logs, weights[..size]);
            mean -= double.CreateChecked(TensorPrimitives.Dot<T>(logs, weights[..size]));
            for (; values < size; values++)
                if (start + values != top)
                    second = Math.Max(second, double.CreateChecked(logs[values]));
        }

        (features[0], features[1], features[2]) = (mean, first, first - Math.Exp(second));
        return top;
    }
}
