using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Evaluation;

/// <summary>The result of one item. Items of equal index are the same item for every model.</summary>
/// <param name="Index">Counted from 0 within the data set.</param>
public abstract record ItemResult(int Index);

/// <summary>A document, or a window of a plain text. Bytes and words of a window are its share of the text's.</summary>
public sealed record TextItem(int Index, double LogLikelihood, int Tokens, double Bytes, double Words) : ItemResult(Index);

/// <summary>A multiple-choice item: the summed log-probability of each choice and what follows from them.</summary>
public sealed record ChoiceItem(
    int Index, IReadOnlyList<double> LogLikelihoods, int Prediction, int PredictionNorm, int PredictionBytes,
    double Accuracy, double AccuracyNorm, double AccuracyBytes, double? AccuracyMutualInfo, double GoldProbability, double? Brier) : ItemResult(Index)
{
    /// <summary>The item's value of a metric; NaN where it has none.</summary>
    public double Value(string metric) => metric switch
    {
        "acc_norm" => AccuracyNorm,
        "acc_bytes" => AccuracyBytes,
        "prob" => GoldProbability,
        "brier" => Brier ?? double.NaN,
        _ => Accuracy,
    };
}

/// <summary>An item of exact match.</summary>
public sealed record ExactItem(int Index, string Generated, bool Correct) : ItemResult(Index);

/// <summary>One number with its 95 % interval.</summary>
/// <param name="Metric">The metric's name, as in lm-evaluation-harness where it has one.</param>
/// <param name="Value">The number.</param>
/// <param name="Interval">Its 95 % interval; null where one item gives none.</param>
/// <param name="Method">How the interval was made.</param>
/// <param name="HigherIsBetter">The direction.</param>
/// <param name="Count">Items behind the number.</param>
public sealed record Measurement(string Metric, double Value, Interval? Interval, string Method, bool HigherIsBetter, int Count);

/// <summary>One model on one data set. The first measurement is the one that comparisons use.</summary>
public sealed record DataSetResult(string Model, string DataSet, string TokenizerId, IReadOnlyList<Measurement> Measurements, IReadOnlyList<ItemResult> Items)
{
    /// <summary>A measurement by name.</summary>
    public Measurement this[string metric] => Measurements.First(measurement => measurement.Metric == metric);
}

/// <summary>A model against the baseline on the same items.</summary>
/// <param name="Model">The model.</param>
/// <param name="Baseline">What it is compared with.</param>
/// <param name="DataSet">Where.</param>
/// <param name="Metric">The metric.</param>
/// <param name="Difference">Model minus baseline.</param>
/// <param name="Interval">The 95 % interval of the difference; null where the items cannot be paired.</param>
/// <param name="PValue">Two-sided; NaN where the items cannot be paired.</param>
/// <param name="PHolm">Holm's correction over the data sets of this pair.</param>
/// <param name="Test">The test behind the p, or why there is none.</param>
/// <param name="Detectable">The difference that this many items show with power 0.8 at 5 %; null where it is not defined.</param>
public sealed record ModelComparison(
    string Model, string Baseline, string DataSet, string Metric, double Difference, Interval? Interval, double PValue, double PHolm, string Test, double? Detectable)
{
    /// <summary>The direction of the metric.</summary>
    public bool HigherIsBetter { get; init; }

    /// <summary>What the interval says of the model beside the baseline: <c>better</c>, <c>worse</c>, or <c>no difference shown</c> where 0 lies in it; null where there is none.</summary>
    public string? Verdict => Interval is not { } range ? null
        : range.Low <= 0 && range.High >= 0 ? "no difference shown" : Difference > 0 == HigherIsBetter ? "better" : "worse";
}

/// <summary>All results: every model on every data set, and the comparisons.</summary>
public sealed record EvaluationResult(
    IReadOnlyList<string> Models, IReadOnlyList<string> DataSets, IReadOnlyList<DataSetResult> Results, IReadOnlyList<ModelComparison> Comparisons)
{
    /// <summary>Per model and metric that several data sets have, the plain mean over them of the difference to the baseline, with the interval of a bootstrap within each of them.</summary>
    public IReadOnlyList<ModelComparison> Means { get; init; } = [];

    /// <summary>One model on one data set.</summary>
    public DataSetResult this[string model, string dataSet] => Results.First(result => result.Model == model && result.DataSet == dataSet);
}
