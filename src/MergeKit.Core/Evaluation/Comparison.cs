using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Evaluation;

/// <summary>Compares one model with the baseline on each data set, on the same items, with Holm's correction over the data sets.</summary>
internal static class Comparison
{
    public static IReadOnlyList<ModelComparison> Of(IReadOnlyList<(DataSetResult Model, DataSetResult Baseline)> pairs, EvaluationOptions options)
    {
        var comparisons = pairs.Select(pair => One(pair.Model, pair.Baseline, options)).ToArray();
        var tested = Enumerable.Range(0, comparisons.Length).Where(i => !double.IsNaN(comparisons[i].PValue)).ToArray();
        var adjusted = Holm.Adjust(tested.Select(i => comparisons[i].PValue).ToArray());
        for (var i = 0; i < tested.Length; i++)
            comparisons[tested[i]] = comparisons[tested[i]] with { PHolm = adjusted[i] };
        return comparisons;
    }

    private static ModelComparison One(DataSetResult model, DataSetResult baseline, EvaluationOptions options)
    {
        var metric = model.Measurements[0].Metric;
        var comparison = new ModelComparison(
            model.Model, baseline.Model, model.DataSet, metric, model[metric].Value - baseline[metric].Value,
            Interval: null, PValue: double.NaN, PHolm: double.NaN, "not tested", Detectable: null);
        if (model.Items.Count != baseline.Items.Count)
            return comparison with { Test = "not paired: the tokenizers or lengths differ, so the windows do too" };
        if (model.Items.Count < 2)
            return comparison with { Test = "not tested: one item" };
        return model.Items[0] is TextItem ? Text(comparison, model, baseline, options) : Scores(comparison, Of(model), Of(baseline));

        static double[] Of(DataSetResult result) =>
            result.Items.Select(item => item is ChoiceItem choice ? choice.Accuracy : ((ExactItem)item).Correct ? 1.0 : 0.0).ToArray();
    }

    private static ModelComparison Text(ModelComparison comparison, DataSetResult model, DataSetResult baseline, EvaluationOptions options)
    {
        var (a, b) = (model.Items.Cast<TextItem>().ToArray(), baseline.Items.Cast<TextItem>().ToArray());
        if (a.Zip(b).Any(pair => Math.Abs(pair.First.Bytes - pair.Second.Bytes) > 1e-6 * pair.First.Bytes))
            return comparison with { Test = "not paired: the tokenizers or lengths differ, so the windows do too" };
        var result = RatioBootstrap.Compare(Nll(a), Bits(a), Nll(b), Bits(b), options.BootstrapDraws, options.Seed)!.Value;
        return comparison with { Interval = result.Percentile95, PValue = result.PValue, Test = "paired bootstrap of bits per byte" };

        static double[] Nll(TextItem[] items) => items.Select(item => -item.LogLikelihood).ToArray();
        static double[] Bits(TextItem[] items) => items.Select(item => item.Bytes * Math.Log(2)).ToArray();
    }

    private static ModelComparison Scores(ModelComparison comparison, double[] a, double[] b)
    {
        var paired = PairedComparison.Of(a, b);
        return comparison with
        {
            Interval = paired.Normal95,
            PValue = paired.McNemar!.PExact,
            Test = "exact McNemar",
            Detectable = paired.StandardError > 0 ? Power.DetectableDifference(paired.StandardError * Math.Sqrt(a.Length), a.Length) : null,
        };
    }
}
