using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace MergeKit.Core.Ensembles;

/// <summary>The most probable tokens of a law: by falling probability, the lower id first of equal ones, while the mass before a token is at most a given one.</summary>
/// <typeparam name="T">Precision of the row.</typeparam>
/// <param name="Least">The smallest logit inside.</param>
/// <param name="LastId">The largest id inside among those of the smallest logit.</param>
/// <param name="Count">Tokens inside.</param>
internal readonly record struct Nucleus<T>(T Least, int LastId, int Count)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int Buckets = 1024;
    private const double Deepest = 800;

    /// <summary>Finds the nucleus without sorting the row: a histogram of mass over logits tells in which narrow range of logits it ends, and only that is sorted.</summary>
    [SkipLocalsInit]
    public static Nucleus<T> Of(ReadOnlySpan<T> row, double mass)
    {
        var (most, total) = (RowMath.Maximum(row), RowMath.LogSumExp(row));

        // All that lies below (1 - mass) / n in n places cannot be needed to exceed the mass.
        var depth = Math.Min(Deepest, most - total - Math.Log(Math.Max(0, 1 - mass) / row.Length * 0.999));
        var scale = T.CreateChecked((Buckets - 1) / Math.Max(depth, 1e-9));
        Span<double> masses = stackalloc double[Buckets];
        Span<int> counts = stackalloc int[Buckets];
        Fill(row, T.CreateChecked(most), scale, masses, counts);
        var (relative, before, kept, last) = (mass * Math.Exp(total - most), 0.0, 0, 0);
        for (; last < Buckets && before + masses[last] <= relative; last++)
            (before, kept) = (before + masses[last], kept + counts[last]);
        return last == Buckets ? new(T.NegativeInfinity, int.MaxValue, kept) : Walk(row, T.CreateChecked(most), scale, last, relative, before, kept);
    }

    /// <summary>Makes everything outside impossible.</summary>
    /// <param name="row">The row whose nucleus this is.</param>
    /// <param name="scores">As long as the row.</param>
    public void Restrict(ReadOnlySpan<T> row, Span<T> scores)
    {
        RowMath.Restrict(row, Least, scores);
        if (LastId >= row.Length)
            return;
        for (var next = LastId + 1; row[next..].IndexOf(Least) is >= 0 and var found; next += found + 1)
            scores[next + found] = T.NegativeInfinity;
    }

    /// <summary>Mass, as a multiple of the largest probability, and number of tokens by distance from the largest logit; what is too far away in the last bucket.</summary>
    [SkipLocalsInit]
    private static void Fill(ReadOnlySpan<T> row, T most, T scale, Span<double> masses, Span<int> counts)
    {
        masses.Clear();
        counts.Clear();
        Span<T> distances = stackalloc T[RowMath.Block], exponentials = stackalloc T[RowMath.Block];
        for (var start = 0; start < row.Length; start += RowMath.Block)
        {
            var size = Math.Min(RowMath.Block, row.Length - start);
            var distance = distances[..size];
            var exponential = exponentials[..size];
            TensorPrimitives.Subtract(row.Slice(start, size), most, distance);
            TensorPrimitives.Exp<T>(distance, exponential);
            for (var i = 0; i < size; i++)
            {
                if (T.IsNegativeInfinity(distance[i]))
                    continue;
                var bucket = Bucket(distance[i], scale);
                masses[bucket] += double.CreateChecked(exponential[i]);
                counts[bucket]++;
            }
        }
    }

    /// <summary>Goes through the bucket in which the nucleus ends.</summary>
    private static Nucleus<T> Walk(ReadOnlySpan<T> row, T most, T scale, int bucket, double mass, double before, int kept)
    {
        var tokens = new List<(T Logit, int Id)>();
        for (var id = 0; id < row.Length; id++)
            if (!T.IsNegativeInfinity(row[id]) && Bucket(row[id] - most, scale) == bucket)
                tokens.Add((row[id], id));
        tokens.Sort((x, y) => x.Logit != y.Logit ? y.Logit.CompareTo(x.Logit) : x.Id.CompareTo(y.Id));
        var last = 0;
        for (; last < tokens.Count && before <= mass; last++)
            before += double.CreateChecked(T.Exp(tokens[last].Logit - most));
        return new(tokens[last - 1].Logit, tokens[last - 1].Id, kept + last);
    }

    private static int Bucket(T distance, T scale) => int.Min(Buckets - 1, int.CreateSaturating(-distance * scale));
}
