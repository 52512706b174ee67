namespace MergeKit.Core.Evaluation.Metrics;

/// <summary>One multiple-choice item, judged. Of equal scores the first wins; with several right answers any of them counts.</summary>
/// <param name="Prediction">Arg-max of the log-likelihoods.</param>
/// <param name="PredictionNorm">Arg-max of log-likelihood / code points of the choice.</param>
/// <param name="PredictionBytes">Arg-max of log-likelihood / UTF-8 bytes of the choice.</param>
/// <param name="PredictionMutualInfo">Arg-max of log-likelihood minus that without context; null when the latter is not given.</param>
/// <param name="Gold">The right choices.</param>
/// <param name="Probabilities">Softmax of the log-likelihoods.</param>
public sealed record MultipleChoiceScore(
    int Prediction, int PredictionNorm, int PredictionBytes, int? PredictionMutualInfo, IReadOnlyList<int> Gold, IReadOnlyList<double> Probabilities)
{
    /// <summary>1 when the prediction is right, else 0.</summary>
    public double Accuracy => Score(Prediction);

    /// <summary>1 when the prediction per code point is right.</summary>
    public double AccuracyNorm => Score(PredictionNorm);

    /// <summary>1 when the prediction per byte is right.</summary>
    public double AccuracyBytes => Score(PredictionBytes);

    /// <summary>1 when the prediction by mutual information is right; null when there is none.</summary>
    public double? AccuracyMutualInfo => PredictionMutualInfo is { } prediction ? Score(prediction) : null;

    /// <summary>Brier's score, the sum over choices of (p - [right])^2; null unless exactly one choice is right.</summary>
    public double? Brier => Gold.Count == 1 ? Probabilities.Select((p, i) => Math.Pow(p - (i == Gold[0] ? 1 : 0), 2)).Sum() : null;

    /// <summary>Judges one item. Lengths are of the choices alone, without delimiter. Errors: no choices, lengths that differ, gold out of range.</summary>
    public static MultipleChoiceScore Of(
        IReadOnlyList<double> logLikelihoods, IReadOnlyList<string> choices, IReadOnlyList<int> gold, IReadOnlyList<double>? unconditional = null)
    {
        if (choices.Count == 0 || logLikelihoods.Count != choices.Count || (unconditional is not null && unconditional.Count != choices.Count))
            throw new EvaluationException(EvaluationError.InvalidParameter, $"{choices.Count} choices with {logLikelihoods.Count} scores");
        if (gold.Any(index => index < 0 || index >= choices.Count))
            throw new EvaluationException(EvaluationError.InvalidParameter, $"gold {string.Join(", ", gold)} is not among {choices.Count} choices");
        return new MultipleChoiceScore(
            ArgMax(logLikelihoods),
            ArgMax(logLikelihoods.Zip(choices, (ll, choice) => ll / TextMeasure.CodePoints(choice)).ToArray()),
            ArgMax(logLikelihoods.Zip(choices, (ll, choice) => ll / TextMeasure.Bytes(choice)).ToArray()),
            unconditional is null ? null : ArgMax(logLikelihoods.Zip(unconditional, (ll, without) => ll - without).ToArray()),
            gold,
            Softmax(logLikelihoods));
    }

    /// <summary>The index of the largest value; the first of equals; NaN never wins.</summary>
    public static int ArgMax(IReadOnlyList<double> values)
    {
        var best = 0;
        for (var i = 1; i < values.Count; i++)
            if (values[i] > values[best] || double.IsNaN(values[best]))
                best = i;
        return best;
    }

    private static double[] Softmax(IReadOnlyList<double> values)
    {
        var largest = values.Max();
        var exponentials = values.Select(value => Math.Exp(value - largest)).ToArray();
        var sum = exponentials.Sum();
        return exponentials.Select(value => value / sum).ToArray();
    }

    private double Score(int prediction) => Gold.Contains(prediction) ? 1 : 0;
}
