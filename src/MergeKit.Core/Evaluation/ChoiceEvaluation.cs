using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Evaluation;

/// <summary>Multiple choice: each choice is scored as a continuation of the context.</summary>
internal static class ChoiceEvaluation
{
    public static List<ItemResult> Run(EvaluatedModel model, ChoiceDataSet data, EvaluationOptions options, CancellationToken cancellation)
    {
        var items = data.Items.Take(options.Limit ?? int.MaxValue).ToArray();
        ITextEncoder encoder = options.AlwaysBos ? new BosEncoder(model.Encoder) : model.Encoder;
        var requests = new List<LoglikelihoodRequest>();
        foreach (var (index, item) in items.Index())
            foreach (var choice in item.Choices)
            {
                requests.Add(Encode(item.Context, item.Delimiter + choice, index));
                if (options.MutualInformation)
                    requests.Add(Encode("", item.Delimiter + choice, index));
            }

        var sums = new RequestScorer(model, data.Name, options, cancellation).Sums(requests);
        var results = new List<ItemResult>();
        var (next, step) = (0, options.MutualInformation ? 2 : 1);
        foreach (var (index, item) in items.Index())
        {
            var given = Enumerable.Range(0, item.Choices.Count).Select(i => sums[next + (i * step)]).ToArray();
            var without = options.MutualInformation ? Enumerable.Range(0, item.Choices.Count).Select(i => sums[next + (i * step) + 1]).ToArray() : null;
            results.Add(Judge(index, item, given, without));
            next += item.Choices.Count * step;
        }

        return results;

        LoglikelihoodRequest Encode(string context, string continuation, int index)
        {
            try
            {
                return LoglikelihoodRequest.Encode(encoder, context, continuation, model.Model.MaxLength - 1);
            }
            catch (EvaluationException failure)
            {
                throw new InputException($"{data.Path}: item {index + 1}: {failure.Message}", failure);
            }
        }
    }

    public static List<Measurement> Measure(IReadOnlyList<ChoiceItem> items)
    {
        var measurements = new List<Measurement>
        {
            Proportion("acc", items.Select(item => item.Accuracy)),
            Proportion("acc_norm", items.Select(item => item.AccuracyNorm)),
            Proportion("acc_bytes", items.Select(item => item.AccuracyBytes)),
        };
        if (items.All(item => item.AccuracyMutualInfo is not null))
            measurements.Add(Proportion("acc_mutual_info", items.Select(item => item.AccuracyMutualInfo!.Value)));
        measurements.Add(Average("prob", items.Select(item => item.GoldProbability), higherIsBetter: true));
        if (items.All(item => item.Brier is not null))
            measurements.Add(Average("brier", items.Select(item => item.Brier!.Value), higherIsBetter: false));
        return measurements;
    }

    /// <summary>The mean of scores of 0 and 1 with Wilson's interval.</summary>
    public static Measurement Proportion(string metric, IEnumerable<double> scores)
    {
        var values = scores.ToArray();
        var mean = Descriptive.Mean(values);
        return new Measurement(metric, mean, Descriptive.Wilson(mean, values.Length), "Wilson", HigherIsBetter: true, values.Length);
    }

    private static Measurement Average(string metric, IEnumerable<double> scores, bool higherIsBetter)
    {
        var estimate = Descriptive.Estimate(scores.ToArray());
        return new Measurement(metric, estimate.Mean, estimate.Count > 1 ? estimate.Normal95 : null, "normal", higherIsBetter, estimate.Count);
    }

    private static ChoiceItem Judge(int index, ChoiceQuestion item, double[] given, double[]? without)
    {
        var score = MultipleChoiceScore.Of(given, item.Choices, item.Gold, without);
        return new ChoiceItem(
            index, given, score.Prediction, score.PredictionNorm, score.PredictionBytes, score.Accuracy, score.AccuracyNorm, score.AccuracyBytes,
            score.AccuracyMutualInfo, item.Gold.Distinct().Sum(gold => score.Probabilities[gold]), score.Brier);
    }
}
