using MergeKit.Core.Evaluation;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Reports;

/// <summary>A finished search: what was found on the tuning split, and what the winner is worth on the test split.</summary>
/// <param name="Title">The heading.</param>
/// <param name="Outcome">The search.</param>
/// <param name="Test">The winner (the baseline of all comparisons), base, parents, uniform soup and ensemble on the test data; null where the document has none.</param>
/// <param name="Resumed">Trials that an interrupted run had scored.</param>
/// <param name="Warnings">What a reader of the numbers should know.</param>
public sealed record SearchReport(string Title, SearchOutcome Outcome, EvaluationResult? Test, int Resumed, IReadOnlyList<string> Warnings)
{
    /// <summary>The documents whose results the recipes use, each with the line that ends it; empty where all models lie on disk.</summary>
    public string Before { get; init; } = "";

    /// <summary>The text of a recipe file that makes a trial's model.</summary>
    public string RecipeOf(Trial trial) => Before + trial.Yaml;
}
