using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search;

/// <summary>Arithmetic with task vectors tau = theta - base (Ilharco et al. 2023), here over plain vectors; merges of models do the same per tensor.</summary>
public static class TaskVectors
{
    /// <summary>base - scale tau: forgets a task.</summary>
    public static double[] Negate(IReadOnlyList<double> origin, IReadOnlyList<double> model, double scale) => Apply(origin, scale, (model, -1));

    /// <summary>base + scale sum tau: joins tasks.</summary>
    public static double[] Add(IReadOnlyList<double> origin, double scale, params IReadOnlyList<double>[] models) =>
        Apply(origin, scale, models.Select(model => (model, 1.0)).ToArray());

    /// <summary>"a is to b as c is to ?": base + scale (tau_c + tau_b - tau_a).</summary>
    public static double[] Analogy(IReadOnlyList<double> origin, IReadOnlyList<double> a, IReadOnlyList<double> b, IReadOnlyList<double> c, double scale) =>
        Apply(origin, scale, (c, 1), (b, 1), (a, -1));

    private static double[] Apply(IReadOnlyList<double> origin, double scale, params (IReadOnlyList<double> Model, double Sign)[] terms)
    {
        if (terms.Any(term => term.Model.Count != origin.Count))
            throw new EvaluationException(EvaluationError.InvalidParameter, "models and base must have the same parameters");
        return origin.Select((value, i) => value + (scale * terms.Sum(term => term.Sign * (term.Model[i] - value)))).ToArray();
    }
}

/// <summary>Which way a score is better.</summary>
public enum ScoreDirection
{
    /// <summary>Higher is better, as accuracy.</summary>
    Maximize,

    /// <summary>Lower is better, as perplexity.</summary>
    Minimize,
}

/// <summary>A scale chosen under a control.</summary>
/// <param name="Threshold">The control score that a scale must keep.</param>
/// <param name="Allowed">The scales that keep it.</param>
/// <param name="Chosen">The best of them on the target; null when none is allowed.</param>
public sealed record ScaleChoice(double Threshold, IReadOnlyList<double> Allowed, double? Chosen);

/// <summary>The search for the scale of a task vector.</summary>
public static class ScaleSearch
{
    /// <summary>Of the scales whose control score keeps a share of the score at scale 0, the best on the target; the smaller scale on ties.
    /// Negation minimizes the target and keeps 95 % of the control (Ilharco et al. 2023). Errors: no scale 0, lengths that differ.</summary>
    public static ScaleChoice Choose(
        IReadOnlyList<double> scales, IReadOnlyList<double> target, IReadOnlyList<double> control, double keep = 0.95, ScoreDirection direction = ScoreDirection.Minimize)
    {
        if (target.Count != scales.Count || control.Count != scales.Count || !scales.Contains(0))
            throw new EvaluationException(EvaluationError.InvalidParameter, "a scale search needs a target and a control score for every scale, and the scale 0");
        var threshold = keep * control[scales.Index().First(scale => scale.Item == 0).Index];
        var allowed = Enumerable.Range(0, scales.Count).Where(i => control[i] >= threshold - (1e-12 * Math.Abs(threshold))).ToArray();
        var sign = direction == ScoreDirection.Minimize ? 1 : -1;
        return new ScaleChoice(
            threshold, allowed.Select(i => scales[i]).ToArray(),
            allowed.Length == 0 ? null : scales[allowed.OrderBy(i => sign * target[i]).ThenBy(i => scales[i]).First()]);
    }
}
