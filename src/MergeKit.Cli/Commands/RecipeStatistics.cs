using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Statistics;

namespace MergeKit.Cli.Commands;

/// <summary>Records the statistics that recipes ask for, and keeps them for the next time.</summary>
internal static class RecipeStatistics
{
    /// <summary>Leaves it to the run: for plans alone.</summary>
    public static StatisticsMaker Later { get; } = (_, _, _) => null;

    /// <summary>Records.</summary>
    public static StatisticsMaker Now(int threads, TextWriter error, CancellationToken cancellation) => (kind, model, request) =>
    {
        if (model.Stage is not null)
            throw new InputException([Problem.Error($"model '{model}' is an earlier document's result, not yet written: statistics of it can be recorded when it is kept (--intermediate-dir)", request.Location)]);
        error.WriteLine(StatisticsCost.Of(kind, model, request));
        var options = new StatisticsOptions(kind, request.Window, request.MaxTokens, threads) { LabelsOfText = request.LabelsOfText, PerToken = request.PerToken, Seed = request.Seed };
        var kept = StatisticsStore.Keep(request.File, model.Source, [.. request.Data.SelectMany(StatisticsCommand.Texts)], options, StatisticsCommand.Progress(error), cancellation);
        error.WriteLine($"{kept.Path}: {(kept.IsNew ? "recorded" : "used again")}, {kept.Tokens:N0} tokens");
        return kept.Path;
    };

    /// <summary>Whether a recipe asks for statistics.</summary>
    public static bool AreWanted(Recipe recipe) => recipe.Modules.Any(module => module.Slices.Any(slice => slice.Sources.Any(source => source.Recorded is not null)));
}
