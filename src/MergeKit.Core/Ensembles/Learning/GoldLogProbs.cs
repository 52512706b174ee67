namespace MergeKit.Core.Ensembles.Learning;

/// <summary>ln p_k(y_t): the log-probability of the gold token at every position under every member, [positions, members]. All that linear weights need.</summary>
public sealed class GoldLogProbs
{
    private readonly double[] _values;

    private GoldLogProbs(int positions, int members, double[] values) => (Positions, Members, _values) = (positions, members, values);

    /// <summary>Rows.</summary>
    public int Positions { get; }

    /// <summary>Columns.</summary>
    public int Members { get; }

    /// <summary>One position, one number per member.</summary>
    public ReadOnlySpan<double> this[int position] => _values.AsSpan(position * Members, Members);

    /// <summary>Takes rows of equal length. Errors: no row, lengths that differ, a NaN or a probability above 1 (<see cref="LearningError.InvalidInput"/>),
    /// a position that no member finds possible (<see cref="LearningError.ZeroProbability"/>).</summary>
    public static GoldLogProbs Of(IReadOnlyList<IReadOnlyList<double>> rows)
    {
        if (rows.Count == 0 || rows[0].Count == 0)
            throw new LearningException(LearningError.InvalidInput, "learning needs at least one position and one member");
        var members = rows[0].Count;
        var values = new double[checked(rows.Count * members)];
        for (var t = 0; t < rows.Count; t++)
        {
            if (rows[t].Count != members)
                throw new LearningException(LearningError.InvalidInput, $"position {t + 1} has {rows[t].Count} log-probabilities; the first has {members}");
            for (var k = 0; k < members; k++)
                values[(t * members) + k] = rows[t][k] <= 1e-3 ? rows[t][k] : throw new LearningException(
                    LearningError.InvalidInput, $"position {t + 1}, member {k + 1}: {rows[t][k]} is no log-probability; wanted a number of at most 0");
            if (rows[t].All(double.IsNegativeInfinity))
                throw new LearningException(LearningError.ZeroProbability, $"position {t + 1}: every member gives the gold token probability 0");
        }

        return new GoldLogProbs(rows.Count, members, values);
    }

    /// <summary>The chosen positions, or the chosen members, in the order given.</summary>
    public GoldLogProbs Select(IEnumerable<int>? positions = null, IReadOnlyList<int>? members = null) =>
        Of([.. (positions ?? Enumerable.Range(0, Positions)).Select(t =>
        {
            var row = _values.AsSpan(t * Members, Members).ToArray();
            return (IReadOnlyList<double>)(members is null ? row : [.. members.Select(k => row[k])]);
        })]);

    /// <summary>The mean negative log-likelihood of each member alone.</summary>
    public double[] MemberNll() =>
        [.. Enumerable.Range(0, Members).Select(k => -Enumerable.Range(0, Positions).Average(t => _values[(t * Members) + k]))];

    /// <summary>ln sum_k w_k p_k(y_t) of every position.</summary>
    public double[] Mix(IReadOnlyList<double> weights)
    {
        double[] logWeights = [.. weights.Select(weight => weight > 0 ? Math.Log(weight) : double.NegativeInfinity)];
        return [.. Enumerable.Range(0, Positions).Select(t => LogMixture.LogProb(this[t], logWeights))];
    }
}
