using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Recipes;

namespace MergeKit.Inference.Workflows;

/// <summary>A cascade on items that its threshold was not chosen on.</summary>
/// <param name="Items">How many.</param>
/// <param name="Small">Accuracy of the small model alone.</param>
/// <param name="Large">Accuracy of the large model alone.</param>
/// <param name="Cascade">Accuracy of the cascade.</param>
/// <param name="Interval">Its 95 % interval (Wilson).</param>
/// <param name="Cost">Mean cost per item.</param>
/// <param name="Escalated">Share of items that went to the large model.</param>
/// <param name="AgainstLarge">The cascade against the large model, paired by item.</param>
public sealed record CascadeTest(
    int Items, double Small, double Large, double Cascade, Interval Interval, double Cost, double Escalated, PairedComparison AgainstLarge);

/// <summary>What a cascade's run gave.</summary>
/// <param name="Curve">Accuracy against cost on the data that the threshold was chosen on.</param>
/// <param name="Chosen">The point chosen.</param>
/// <param name="Test">On other items; null where there are none.</param>
public sealed record CascadeReport(CascadeCurve Curve, CascadePoint Chosen, CascadeTest? Test);

/// <summary>Runs both models of a cascade over held-out items, chooses the threshold, and reports it on others.</summary>
public static class CascadeRun
{
    /// <summary>Runs.</summary>
    /// <exception cref="InputException">No threshold reaches the target, or the data have no right answers; the key is named.</exception>
    public static CascadeReport Run(
        CascadeRecipe recipe, EvaluatedModel small, EvaluatedModel large, DataSet data, DataSet? test, ulong seed, CancellationToken cancellation = default)
    {
        var options = new AnswerOptions(recipe.Confidence, recipe.Votes, recipe.Temperature, recipe.MaxNewTokens, seed);
        var (little, much) = (Answer(small, data), Answer(large, data));
        var curve = CascadeCurve.Of(
            [.. little.Select(answer => answer.Confidence)], [.. little.Select(answer => answer.Correct)], [.. much.Select(answer => answer.Correct)],
            recipe.Small.Cost, recipe.Large.Cost);
        var chosen = Choose(recipe, curve);
        return new CascadeReport(curve, chosen, test is null ? null : Test(recipe, chosen.Threshold, Answer(small, test), Answer(large, test)));

        IReadOnlyList<ItemAnswer> Answer(EvaluatedModel model, DataSet set) => ItemAnswers.Of(model, set, options, recipe.Limit, cancellation);
    }

    private static CascadePoint Choose(CascadeRecipe recipe, CascadeCurve curve)
    {
        if (recipe.Threshold is { } given)
            return curve.Points.First(point => point.Threshold >= given) with { Threshold = given };
        var chosen = recipe.TargetAccuracy is { } target ? curve.ForAccuracy(target) : curve.ForBudget(recipe.Budget!.Value);
        return chosen ?? throw new InputException([Problem.Error(
            recipe.TargetAccuracy is { } wanted
                ? FormattableString.Invariant($"'target_accuracy' is {wanted}; the cascade reaches at most {curve.Points.Max(point => point.Accuracy):0.####} on {recipe.Data}")
                : FormattableString.Invariant($"'budget' is {recipe.Budget}; the small model alone costs {recipe.Small.Cost} per item"),
            recipe.Location)]);
    }

    private static CascadeTest Test(CascadeRecipe recipe, double threshold, IReadOnlyList<ItemAnswer> small, IReadOnlyList<ItemAnswer> large)
    {
        bool[] up = [.. small.Select(answer => answer.Confidence < threshold)];
        double[] correct = [.. up.Select((escalated, i) => escalated ? large[i].Correct : small[i].Correct)];
        var (accuracy, escalated) = (correct.Average(), up.Count(value => value) / (double)up.Length);
        return new CascadeTest(
            up.Length, small.Average(answer => answer.Correct), large.Average(answer => answer.Correct), accuracy, Descriptive.Wilson(accuracy, up.Length),
            recipe.Small.Cost + (escalated * recipe.Large.Cost), escalated, PairedComparison.Of(correct, [.. large.Select(answer => answer.Correct)]));
    }
}
