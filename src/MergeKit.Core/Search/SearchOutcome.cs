using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search;

/// <summary>How much of the objective's variation over the trials a variable accounts for.</summary>
/// <param name="Variable">Its name.</param>
/// <param name="Share">Its share of what a quadratic model without interactions explains, 0 to 1.</param>
/// <param name="Direction">The slope at the winner in objective per range; negative: more of it would be better.</param>
public sealed record VariableImportance(string Variable, double Share, double Direction);

/// <summary>What a search found. Every number is of the tuning split.</summary>
/// <param name="Search">The document.</param>
/// <param name="Sets">The tuning sets, control sets included.</param>
/// <param name="Winner">The winner; its recipe is the result.</param>
/// <param name="Trials">Every trial in order: candidates, references, line.</param>
/// <param name="Front">The candidates that none beats on all tuning sets; empty but for nsga2.</param>
/// <param name="Variables">The free numbers; none where models are chosen.</param>
/// <param name="Importance">What the free numbers matter, most first.</param>
/// <param name="ImportanceFit">The share of the objective's variance that the model behind the importances explains.</param>
/// <param name="Notes">How the winner was chosen, in sentences.</param>
public sealed record SearchOutcome(
    SearchRecipe Search, IReadOnlyList<TuningSet> Sets, Trial Winner, IReadOnlyList<Trial> Trials, IReadOnlyList<Trial> Front, IReadOnlyList<SearchVariable> Variables,
    IReadOnlyList<VariableImportance> Importance, double ImportanceFit, IReadOnlyList<string> Notes)
{
    /// <summary>The candidates.</summary>
    public IEnumerable<Trial> Candidates => Trials.Where(trial => trial.Role == Trial.Candidate);

    /// <summary>How many candidates were tried, given up early, and failed, in words.</summary>
    public string Counts
    {
        get
        {
            var (all, failed) = (Candidates.Count(), Candidates.Count(trial => trial.Failure is not null));
            return $"{all} candidate{(all == 1 ? "" : "s")} ({Candidates.Count(trial => !trial.Scores.Complete && trial.Failure is null)} given up early, {failed} failed)";
        }
    }

    /// <summary>The models beside the candidates: base, parents and their mean.</summary>
    public IEnumerable<Trial> References => Trials.Where(trial => trial.Role == "reference");

    /// <summary>Points between the start (or the best member of a soup) and the winner.</summary>
    public IEnumerable<Trial> Line => Trials.Where(trial => trial.Role == "line");
}
