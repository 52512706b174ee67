namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>The methods that select elements, written down from their formulas with plain sorts, in double precision.</summary>
internal static class SelectionReference
{
    /// <summary>Positions in ascending order of a value; of equal ones the lower index comes first.</summary>
    public static int[] Ascending(double[] values) => [.. Enumerable.Range(0, values.Length).OrderBy(i => values[i]).ThenBy(i => i)];

    /// <summary>A task vector without its outliers and small entries.</summary>
    public static double[] Breadcrumbs(double[] delta, double density, double gamma)
    {
        var (count, result) = (delta.Length, new double[delta.Length]);
        var top = (int)(gamma * count);
        var bottom = count - (int)(density * count) - top;
        if (bottom < 0)
            (top, bottom) = (top + bottom, 0);
        foreach (var i in Ascending([.. delta.Select(Math.Abs)])[bottom..(count - top)])
            result[i] = delta[i];
        return result;
    }

    /// <summary>sum over i of E_i, or of those of the majority's sign, and the divisor of the weights that count.</summary>
    public static double[] Merge(double[][] deltas, double[] weights, bool consensus, bool normalize)
    {
        var result = new double[deltas[0].Length];
        for (var j = 0; j < result.Length; j++)
        {
            var entries = deltas.Select((delta, i) => weights[i] * delta[j]).ToArray();
            var sign = entries.Sum() >= 0 ? 1 : -1;
            var counting = Enumerable.Range(0, entries.Length).Where(i => !consensus || Math.Sign(entries[i]) == sign).ToArray();
            var divisor = counting.Sum(i => weights[i]);
            result[j] = counting.Sum(i => entries[i]) / (normalize && divisor != 0 ? divisor : 1);
        }

        return result;
    }

    public static double[] Rescaled(double[] delta, double[] trimmed)
    {
        var (all, left) = (delta.Sum(Math.Abs), trimmed.Sum(Math.Abs));
        return all < 1e-7 || left < 1e-7 ? trimmed : [.. trimmed.Select(value => value * all / left)];
    }

    /// <summary>What sce adds to the base.</summary>
    public static double[] Sce(double[][] deltas, double topk)
    {
        var (models, count) = (deltas.Length, deltas[0].Length);
        if (topk < 1 && models > 1)
        {
            var variance = new double[count];
            for (var j = 0; j < count; j++)
            {
                var mean = deltas.Average(delta => delta[j]);
                variance[j] = (float)deltas.Average(delta => (delta[j] - mean) * (delta[j] - mean));
            }

            var keep = (int)(topk * variance.Count(v => v != 0));
            var kept = Ascending([.. variance.Select(v => -v)]).Take(keep).ToHashSet();
            deltas = [.. deltas.Select(delta => delta.Select((value, j) => kept.Contains(j) ? value : 0).ToArray())];
        }

        var energies = deltas.Select(delta => delta.Average(value => value * value)).ToArray();
        var weights = energies.Select(energy => energies.Sum() == 0 ? 1.0 / models : energy / energies.Sum()).ToArray();
        return [.. Enumerable.Range(0, count).Select(j =>
        {
            var sign = deltas.Sum(delta => delta[j]) >= 0 ? 1 : -1;
            var counting = Enumerable.Range(0, models).Where(i => Math.Sign(deltas[i][j]) == sign).ToArray();
            return counting.Sum(i => weights[i] * deltas[i][j]) / Math.Max(counting.Sum(i => weights[i]), 1e-6);
        })];
    }

    /// <summary>Importance of each element for arcee_fusion, in rows.</summary>
    public static double[] Importance(float[] other, float[] origin, int columns)
    {
        var result = new double[other.Length];
        for (var row = 0; row < other.Length / columns; row++)
        {
            double[] Softmax(float[] all)
            {
                var part = all[(row * columns)..((row + 1) * columns)];
                var exponentials = part.Select(value => Math.Exp((double)value - part.Max())).ToArray();
                return [.. exponentials.Select(value => value / exponentials.Sum() + 1e-8)];
            }

            var (p, q) = (Softmax(other), Softmax(origin));
            var divergence = p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum();
            for (var j = row * columns; j < (row + 1) * columns; j++)
                result[j] = Math.Abs(other[j] - origin[j]) * divergence;
        }

        return result;
    }

    /// <summary>What ram (r = 0) and ramplus_tl add to the base.</summary>
    public static double[] Ram(double[][] deltas, double epsilon, double r, double alpha)
    {
        var (models, count) = (deltas.Length, deltas[0].Length);
        bool Contributes(int i, int j) => Math.Abs(deltas[i][j]) > (float)epsilon;
        var counts = Enumerable.Range(0, count).Select(j => Enumerable.Range(0, models).Count(i => Contributes(i, j))).ToArray();
        var factors = Enumerable.Range(0, models).Select(i =>
        {
            double shared = Enumerable.Range(0, count).Count(j => Contributes(i, j) && counts[j] > 1);
            double lone = Enumerable.Range(0, count).Count(j => Contributes(i, j) && counts[j] == 1);
            return 1 + r * Math.Clamp(shared / Math.Max(lone, epsilon), 0, alpha);
        }).ToArray();
        return [.. Enumerable.Range(0, count).Select(j => counts[j] == 0 ? 0
            : Enumerable.Range(0, models).Where(i => Contributes(i, j)).Sum(i => deltas[i][j] * (counts[j] == 1 ? factors[i] : 1)) / counts[j])];
    }
}
