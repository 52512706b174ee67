using System.Numerics;
using System.Numerics.Tensors;

namespace MergeKit.Core.Ensembles;

/// <summary>Log-softmax and its parts, in blocks that stay in the first cache: vectors in the row's own precision, sums over blocks in double.</summary>
public static class RowMath
{
    /// <summary>Elements that are handled at a time.</summary>
    internal const int Block = 1024;

    /// <summary>ln sum e^z with the maximum subtracted; minus infinity where nothing is possible.</summary>
    /// <exception cref="EnsembleException">The row has NaN or plus infinity.</exception>
    public static double LogSumExp<T>(ReadOnlySpan<T> row)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (maximum, sum) = (double.NegativeInfinity, 0.0);
        for (var start = 0; start < row.Length; start += Block)
        {
            var block = row.Slice(start, Math.Min(Block, row.Length - start));
            var highest = Maximum(block);
            if (double.IsNegativeInfinity(highest))
                continue;
            if (highest > maximum)
                (sum, maximum) = (sum * Math.Exp(maximum - highest), highest);
            sum += RowExp.Sum(block, maximum);
        }

        return sum == 0 ? double.NegativeInfinity : maximum + Math.Log(sum);
    }

    /// <summary>The largest value.</summary>
    /// <exception cref="EnsembleException">It is NaN or plus infinity.</exception>
    public static double Maximum<T>(ReadOnlySpan<T> row)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var maximum = TensorPrimitives.Max(row);
        return T.IsNaN(maximum) || T.IsPositiveInfinity(maximum)
            ? throw new EnsembleException(EnsembleError.NotANumber, $"a member gives {maximum} as a logit; its law cannot be combined")
            : double.CreateChecked(maximum);
    }

    /// <summary>Makes normalised log-probabilities of scores, in place.</summary>
    /// <exception cref="EnsembleException">No token is possible, or a score is NaN or plus infinity.</exception>
    public static void Normalize<T>(Span<T> scores)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var total = LogSumExp<T>(scores);
        if (double.IsNegativeInfinity(total))
            throw new EnsembleException(EnsembleError.EmptySupport, "no token is left: every one is impossible for a member that counts positively");
        TensorPrimitives.Subtract(scores, T.CreateChecked(total), scores);
    }

    /// <summary>Makes everything impossible whose value in a row is below a limit.</summary>
    internal static void Restrict<T>(ReadOnlySpan<T> row, T least, Span<T> scores)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (i, width) = (0, Vector<T>.Count);
        var (limit, impossible) = (new Vector<T>(least), new Vector<T>(T.NegativeInfinity));
        for (; i <= row.Length - width; i += width)
            Vector.ConditionalSelect(Vector.GreaterThanOrEqual(new Vector<T>(row[i..]), limit), new Vector<T>(scores[i..]), impossible).CopyTo(scores[i..]);
        for (; i < row.Length; i++)
            scores[i] = row[i] >= least ? scores[i] : T.NegativeInfinity;
    }

    /// <summary>The lowest index of the largest value.</summary>
    public static int ArgMax<T>(ReadOnlySpan<T> row)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => TensorPrimitives.IndexOfMax(row);

    /// <summary>e^x / sum e^x of a few numbers.</summary>
    public static double[] Softmax(ReadOnlySpan<double> values)
    {
        var total = LogSumExp(values);
        return Array.ConvertAll(values.ToArray(), value => Math.Exp(value - total));
    }

    internal static void CheckLengths<T>(ReadOnlySpan<ReadOnlyMemory<T>> members, ICombiner combiner, int length)
    {
        if (members.Length != combiner.Members)
            throw new ArgumentException($"{members.Length} rows for {combiner.Members} members", nameof(members));
        for (var k = 0; k < members.Length; k++)
            if (combiner.Reads(k) && members[k].Length != length)
                throw new ArgumentException($"row {k} has {members[k].Length} values, the result {length}", nameof(members));
    }
}
