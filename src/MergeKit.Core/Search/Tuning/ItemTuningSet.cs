using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;

namespace MergeKit.Core.Search.Tuning;

/// <summary>Multiple-choice or exact-match items; the loss of an item is 1 minus its score, or its Brier score.</summary>
internal sealed class ItemTuningSet : TuningSet
{
    private readonly DataSet _data;

    private ItemTuningSet(DataSet data, string name, string metric, double weight, int count)
        : base(name, metric, metric != "brier", weight, [.. Enumerable.Repeat(1.0, count)]) => _data = data;

    /// <summary>Prepares items.</summary>
    /// <exception cref="InputException">The metric does not go with the data.</exception>
    public static ItemTuningSet Prepare(DataSet data, string name, string? metric, double weight, int? limit, SourceLocation location)
    {
        string[] known = data is ChoiceDataSet ? ["acc", "acc_norm", "acc_bytes", "prob", "brier"] : ["exact_match"];
        if (metric is not null && !known.Contains(metric))
            throw new InputException([Problem.Error($"{data.Path}: the metric '{metric}' does not go with these items; wanted one of {string.Join(", ", known)}", location)]);
        return new ItemTuningSet(data, name, metric ?? known[0], weight, Math.Min(data.Count, limit ?? int.MaxValue));
    }

    /// <inheritdoc/>
    public override void Score(EvaluatedModel model, IReadOnlyList<int> items, Span<double> numerators, CancellationToken cancellation)
    {
        var results = _data is ChoiceDataSet choice
            ? ChoiceEvaluation.Run(model, choice with { Items = [.. items.Select(item => choice.Items[item])] }, new EvaluationOptions(), cancellation)
            : ExactEvaluation.Run(model, ((ExactDataSet)_data) with { Items = [.. items.Select(item => ((ExactDataSet)_data).Items[item])] }, new EvaluationOptions(), cancellation);
        for (var i = 0; i < results.Count; i++)
            numerators[i] = Loss(results[i]);
    }

    private double Loss(ItemResult item) => item switch
    {
        ChoiceItem choice => HigherIsBetter ? 1 - choice.Value(Metric) : choice.Value(Metric),
        _ => ((ExactItem)item).Correct ? 0 : 1,
    };
}
