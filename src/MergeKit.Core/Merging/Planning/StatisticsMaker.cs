using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Records a model's statistics, or finds them recorded already.</summary>
/// <param name="kind">Which.</param>
/// <param name="model">The model.</param>
/// <param name="request">On what, and how; paths are those that can be opened.</param>
/// <returns>The file; null where that is to wait until the recipe is run.</returns>
/// <exception cref="Diagnostics.InputException">The texts or the model cannot be used.</exception>
public delegate string? StatisticsMaker(StatisticsKind kind, LoadedModel model, StatisticsRequest request);
