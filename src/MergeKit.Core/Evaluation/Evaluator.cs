using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;

namespace MergeKit.Core.Evaluation;

/// <summary>Runs data sets against models. Every number comes with its 95 % interval; models are compared on the same items.</summary>
/// <remarks>Running text: <see cref="TextDataSet"/>, perplexities as ratios of sums. Multiple choice: <see cref="ChoiceDataSet"/>, as in lm-evaluation-harness.
/// Exact match: <see cref="ExactDataSet"/>. Under different tokenizers only bits per byte of running text are comparable, and that is what comparisons use.</remarks>
public static class Evaluator
{
    /// <summary>Evaluates every model on every data set and compares each model with the baseline.
    /// Errors: <see cref="InputException"/> for models or data that cannot be used, <see cref="EvaluationException"/> for what the options ask for.</summary>
    public static EvaluationResult Run(
        IReadOnlyList<EvaluatedModel> models, IReadOnlyList<DataSet> dataSets, EvaluationOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new EvaluationOptions();
        Check(models, dataSets, options);
        var results = new List<DataSetResult>();
        foreach (var model in models)
            foreach (var data in dataSets)
                results.Add(Run(model, data, options, cancellation));
        var baseline = options.Baseline ?? models[0].Name;
        var pairs = models.Where(model => model.Name != baseline)
            .Select(model => dataSets.Select(data => (Find(model.Name, data.Name), Find(baseline, data.Name))).ToArray()).ToArray();
        return new EvaluationResult(
            models.Select(model => model.Name).ToArray(), dataSets.Select(data => data.Name).ToArray(), results, pairs.SelectMany(pair => Comparison.Of(pair, options)).ToArray())
        { Means = pairs.SelectMany(pair => Comparison.Means(pair, options)).ToArray() };

        DataSetResult Find(string model, string data) => results.First(result => result.Model == model && result.DataSet == data);
    }

    /// <summary>Evaluates one model on one data set.</summary>
    public static DataSetResult Run(EvaluatedModel model, DataSet data, EvaluationOptions options, CancellationToken cancellation = default)
    {
        List<ItemResult> items;
        List<Measurement> measurements;
        switch (data)
        {
            case TextDataSet text:
                items = TextEvaluation.Run(model, text, options, cancellation);
                measurements = TextEvaluation.Measure(items.Cast<TextItem>().ToArray(), text.IsPlainText, options);
                break;
            case ChoiceDataSet choice:
                items = ChoiceEvaluation.Run(model, choice, options, cancellation);
                measurements = [.. ChoiceEvaluation.Measure(items.Cast<ChoiceItem>().ToArray()).OrderBy(measurement => measurement.Metric == options.ChoiceMetric ? 0 : 1)];
                break;
            case ExactDataSet exact:
                items = ExactEvaluation.Run(model, exact, options, cancellation);
                measurements = [ChoiceEvaluation.Proportion("exact_match", items.Cast<ExactItem>().Select(item => item.Correct ? 1.0 : 0.0))];
                break;
            default:
                throw new ArgumentException($"a data set of type {data.GetType().Name} cannot be evaluated", nameof(data));
        }

        return new DataSetResult(model.Name, data.Name, model.TokenizerId, measurements, items);
    }

    private static void Check(IReadOnlyList<EvaluatedModel> models, IReadOnlyList<DataSet> dataSets, EvaluationOptions options)
    {
        if (models.Count == 0 || dataSets.Count == 0)
            throw new InputException($"an evaluation needs models and data; got {models.Count} models and {dataSets.Count} data sets");
        Unique("models", models.Select(model => model.Name));
        Unique("data sets", dataSets.Select(data => data.Name));
        if (options.Baseline is { } baseline && models.All(model => model.Name != baseline))
            throw new InputException($"the baseline '{baseline}' is none of the models: {string.Join(", ", models.Select(model => model.Name))}");
        if (options.Limit is < 1 || options.BootstrapDraws < 2)
            throw new InputException($"limit {options.Limit} and {options.BootstrapDraws} bootstrap draws: expected at least 1 and 2");
    }

    private static void Unique(string what, IEnumerable<string> names)
    {
        if (names.GroupBy(name => name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new InputException($"two {what} have the name '{twice.Key}'; names must differ");
    }
}
