using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search.Suggestion;
using MergeKit.Core.Search.Tuning;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Searching;

/// <summary>A cheap look at a suggestion: a few multiples of its weights, merged in memory, on a short text.</summary>
public static class ScaleProbe
{
    private const int TokensPerText = 2000;
    private const int MostHalved = 3;
    private static readonly double[] Scales = [0.25, 0.5, 1, 1.5];

    /// <summary>The suggestion with its weights multiplied by the best of a few scales; while the least is the best, its half is tried too. What cannot be run here is a caution, not a failure.</summary>
    /// <param name="suggestion">What to refine; averages, whose weights have no scale, are only measured.</param>
    /// <param name="statistics">What it was made of.</param>
    /// <param name="origin">The base model's path.</param>
    /// <param name="models">The models' paths.</param>
    /// <param name="data">Texts; none: the bundled text.</param>
    /// <param name="options">Folder and threads.</param>
    /// <param name="device">Where they are merged and run.</param>
    /// <param name="cancellation">Stops between scales.</param>
    public static MethodSuggestion Refine(
        MethodSuggestion suggestion, DeltaStatistics statistics, string origin, IReadOnlyList<string> models, IReadOnlyList<TextDataSet> data, PlanOptions options, DeviceChoice device,
        CancellationToken cancellation)
    {
        IReadOnlyList<TextDataSet> texts = data.Count > 0 ? data : [CheckText.DataSet];
        try
        {
            using var candidates = InMemoryCandidates.Open("suggestion", RecipeReader.Parse("suggestion", suggestion.ToRecipe(statistics, origin, models))[0], options, device);
            var sets = texts.Select(text => TextTuningSet.Prepare(text, text.Name, 1, null, TokensPerText, candidates.Encoder, candidates.MaxLength, candidates.VocabularySize));
            var tuner = new Tuner([.. sets], 0);
            (double scale, MethodSuggestion scaled, double loss) Try(double scale)
            {
                var scaled = suggestion.Scaled(scale);
                return (scale, scaled, tuner.Score(candidates.Build("probe", scaled.ToRecipe(statistics, origin, models)), null, cancellation).Objective);
            }

            var scores = (suggestion.Method == "linear" ? [1.0] : Scales).Select(Try).ToList();
            for (var halved = 0; halved < MostHalved && scores.Count > 1 && scores.MinBy(score => score.loss).scale == scores[0].scale; halved++)
                scores.Insert(0, Try(scores[0].scale / 2));
            var best = scores.MinBy(score => score.loss);
            var measured = string.Join(", ", scores.Select(score => string.Create(CultureInfo.InvariantCulture, $"x {score.scale}: {score.loss:F3}")));
            return best.scaled with { Reasons = [.. suggestion.Reasons, $"Probe on {(data.Count > 0 ? "the given texts" : "the bundled text")}, bits per byte with {(suggestion.Method == "ties" ? "lambda" : "the weights")} {measured}{(scores.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $"; taken: x {best.scale}") : "")}."] };
        }
        catch (InputException e)
        {
            return suggestion with { Cautions = [.. suggestion.Cautions, $"Not probed: {e.Problems[0].Message}"] };
        }
    }
}
