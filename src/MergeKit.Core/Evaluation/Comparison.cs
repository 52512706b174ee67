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

    /// <summary>Per metric that several data sets have, the mean difference over them; none where the items of one of them cannot be paired.</summary>
    public static IEnumerable<ModelComparison> Means(IReadOnlyList<(DataSetResult Model, DataSetResult Baseline)> pairs, EvaluationOptions options)
    {
        foreach (var group in pairs.GroupBy(pair => pair.Model.Measurements[0].Metric).Where(group => group.Count() > 1 && group.All(ArePaired)))
        {
            var (model, baseline) = group.First();
            var result = RatioBootstrap.CompareMeans([.. group.Select(pair => new PairedRatios(Numerators(pair.Model), Denominators(pair.Model), Numerators(pair.Baseline), Denominators(pair.Baseline)))], options.BootstrapDraws, options.Seed);
            yield return new ModelComparison(
                model.Model, baseline.Model, $"mean of {group.Count()} data sets", group.Key, result.Difference, result.Percentile95, result.PValue, double.NaN, "paired bootstrap within data sets", null)
            { HigherIsBetter = model.Measurements[0].HigherIsBetter };
        }
    }

    private static bool ArePaired((DataSetResult Model, DataSetResult Baseline) pair) =>
        pair.Model.Items.Count == pair.Baseline.Items.Count && pair.Model.Items.Count > 1 && Denominators(pair.Model).Zip(Denominators(pair.Baseline)).All(both => Math.Abs(both.First - both.Second) <= 1e-6 * both.First);

    private static double[] Numerators(DataSetResult result) => [.. result.Items.Select(item => item is TextItem text ? -text.LogLikelihood : Score(item, result.Measurements[0].Metric))];

    /// <summary>Bits of text in nats, or 1 for an item.</summary>
    private static double[] Denominators(DataSetResult result) => [.. result.Items.Select(item => item is TextItem text ? text.Bytes * Math.Log(2) : 1)];

    private static double Score(ItemResult item, string metric) => item is ChoiceItem choice ? choice.Value(metric) : ((ExactItem)item).Correct ? 1 : 0;

    private static ModelComparison One(DataSetResult model, DataSetResult baseline, EvaluationOptions options)
    {
        var metric = model.Measurements[0].Metric;
        var comparison = new ModelComparison(
            model.Model, baseline.Model, model.DataSet, metric, model[metric].Value - baseline[metric].Value,
            Interval: null, PValue: double.NaN, PHolm: double.NaN, "not tested", Detectable: null)
        { HigherIsBetter = model[metric].HigherIsBetter };
        if (model.Items.Count != baseline.Items.Count)
            return comparison with { Test = "not paired: the tokenizers or lengths differ, so the windows do too" };
        if (model.Items.Count < 2)
            return comparison with { Test = "not tested: one item" };
        if (!ArePaired((model, baseline)))
            return comparison with { Test = "not paired: the tokenizers or lengths differ, so the windows do too" };
        return model.Items[0] is TextItem ? Text(comparison, model, baseline, options) : Scores(comparison, Numerators(model), Numerators(baseline));
    }

    private static ModelComparison Text(ModelComparison comparison, DataSetResult model, DataSetResult baseline, EvaluationOptions options)
    {
        var result = RatioBootstrap.Compare(Numerators(model), Denominators(model), Numerators(baseline), Denominators(baseline), options.BootstrapDraws, options.Seed)!.Value;
        return comparison with { Interval = result.Percentile95, PValue = result.PValue, Test = "paired bootstrap of bits per byte" };
    }

    private static ModelComparison Scores(ModelComparison comparison, double[] a, double[] b)
    {
        var paired = PairedComparison.Of(a, b);
        return comparison with
        {
            Interval = paired.Interval95,
            PValue = paired.McNemar?.PExact ?? paired.PStudent,
            Test = paired.McNemar is null ? "paired t" : "exact McNemar",
            Detectable = paired.StandardError > 0 ? Power.DetectableDifference(paired.StandardError * Math.Sqrt(a.Length), a.Length) : null,
        };
    }
}
