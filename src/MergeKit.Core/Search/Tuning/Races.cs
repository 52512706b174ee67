using MathNet.Numerics.Distributions;

namespace MergeKit.Core.Search.Tuning;

/// <summary>Decides whether a candidate is given up before all items are scored.</summary>
/// <remarks>Maron and Moore 1994, "Hoeffding races", with paired differences as in Moore and Lee 1994.</remarks>
public interface IRace
{
    /// <summary>The estimated losses of a candidate that is losing; null while it is not.</summary>
    IReadOnlyList<double>? GivenUp(PartialScores candidate);
}

/// <summary>What the rules share.</summary>
internal static class RaceRules
{
    /// <summary>Items below which nothing is judged.</summary>
    public const int LeastItems = 6;

    /// <summary>Standard errors by which a candidate must be losing.</summary>
    public const double StandardErrors = 3;
}

/// <summary>Against one model: given up when the objective, the weighted mean of the losses, is worse by three standard errors of the paired differences.</summary>
/// <param name="best">A complete score.</param>
/// <param name="direction">Whether the lower objective wins, or (a negation) the higher.</param>
public sealed class BestRace(TuningScores best, ScoreDirection direction = ScoreDirection.Minimize) : IRace
{
    /// <inheritdoc/>
    public IReadOnlyList<double>? GivenUp(PartialScores candidate)
    {
        var (difference, variance, items) = (0.0, 0.0, 0);
        foreach (var (s, set) in candidate.Sets.Index().Where(pair => pair.Item.Weight > 0))
        {
            var (mean, own) = candidate.Against(best, s);
            items += candidate.Count(s);
            difference += set.Weight * mean;
            variance += set.Weight * set.Weight * own;
        }

        if (direction == ScoreDirection.Maximize)
            difference = -difference;
        return items >= RaceRules.LeastItems && difference > 0 && difference > RaceRules.StandardErrors * Math.Sqrt(variance) ? candidate.Estimates(best) : null;
    }
}

/// <summary>Against a front: given up when one of its members is better on every set that counts, each by three standard errors; more of them where the front
/// has many members, so that the chance of a wrong verdict does not grow with it (Bonferroni).</summary>
/// <param name="front">Complete scores.</param>
public sealed class FrontRace(IReadOnlyList<TuningScores> front) : IRace
{
    private readonly double _standardErrors = -Normal.InvCDF(0, 1, Normal.CDF(0, 1, -RaceRules.StandardErrors) / Math.Max(1, front.Count));

    /// <inheritdoc/>
    public IReadOnlyList<double>? GivenUp(PartialScores candidate) =>
        front.FirstOrDefault(member => candidate.Sets.Index().Where(pair => pair.Item.Weight > 0).All(pair => IsWorse(candidate, member, pair.Index))) is { } better
            ? candidate.Estimates(better) : null;

    private bool IsWorse(PartialScores candidate, TuningScores member, int set)
    {
        var (mean, variance) = candidate.Against(member, set);
        return candidate.Count(set) >= RaceRules.LeastItems && mean > 0 && mean > _standardErrors * Math.Sqrt(variance);
    }
}

/// <summary>Against a condition on the losses: given up when it fails even with every loss three standard errors below its estimate.</summary>
/// <param name="origin">A complete score to take the differences from.</param>
/// <param name="holds">Whether losses satisfy the condition; lower ones must not fail where higher ones do not.</param>
public sealed class ConditionRace(TuningScores origin, Func<IReadOnlyList<double>, bool> holds) : IRace
{
    /// <inheritdoc/>
    public IReadOnlyList<double>? GivenUp(PartialScores candidate)
    {
        double[] least = [.. candidate.Sets.Select((_, s) => candidate.Count(s) < RaceRules.LeastItems ? 0 : Math.Max(0, Least(candidate.Against(origin, s), origin.Losses[s])))];
        return holds(least) ? null : candidate.Estimates(origin);
    }

    private static double Least((double Mean, double Variance) difference, double loss) => loss + difference.Mean - (RaceRules.StandardErrors * Math.Sqrt(difference.Variance));
}

/// <summary>Given up by the first of several rules that says so.</summary>
/// <param name="races">The rules.</param>
public sealed class AnyRace(params IReadOnlyList<IRace> races) : IRace
{
    /// <inheritdoc/>
    public IReadOnlyList<double>? GivenUp(PartialScores candidate) => races.Select(race => race.GivenUp(candidate)).FirstOrDefault(losses => losses is not null);
}
