using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Spaces;
using MergeKit.Core.Search.Strategies;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search;

/// <summary>Carries a search document out on the tuning split. It ends in an ordinary recipe; the test split is not seen here.</summary>
public static class SearchRunner
{
    /// <summary>What the reference with one scale for all task vectors is called.</summary>
    public const string TaskArithmeticName = "uniform task arithmetic";

    private const string ScaleLabel = "task arithmetic ";

    private static readonly double[] ReferenceScales = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1];

    private static readonly double[] LineShares = [0, 0.25, 0.5, 0.75, 1];

    /// <summary>Searches.</summary>
    /// <param name="search">The document.</param>
    /// <param name="models">Makes candidates.</param>
    /// <param name="sets">The prepared tuning and control sets.</param>
    /// <param name="controlWeights">Per set its weight as a control; 0 for tuning sets.</param>
    /// <param name="journal">Where trials are kept.</param>
    /// <param name="report">Called after every trial.</param>
    /// <param name="cancellation">Stops between candidates; the journal goes on from there.</param>
    /// <exception cref="InputException">The document asks for what cannot be, or no candidate could be scored.</exception>
    public static SearchOutcome Run(
        SearchRecipe search, ICandidateModels models, IReadOnlyList<TuningSet> sets, IReadOnlyList<double> controlWeights, TrialJournal journal,
        Action<Trial>? report = null, CancellationToken cancellation = default)
    {
        var session = new SearchSession(models, new Tuner(sets, search.Seed), journal, search.Candidates, search.Racing, report, cancellation);
        var whole = new WholeModelStrategies(search, session);
        var space = Space(search, models);
        var notes = new List<string>();
        var (winner, front) = Search(search, session, whole, space, controlWeights, notes);
        if (winner is null)
            throw new InputException([Problem.Error($"no candidate could be scored; the first failed because: {(session.Trials.Count > 0 ? session.Trials[0].Failure : null) ?? "there was none"}", search.Location)]);
        Line(search, session, whole, space, winner);
        References(search, whole);
        if (TaskArithmetic(search, session, whole) is { } scale)
            notes.Add(FormattableString.Invariant($"Uniform task arithmetic is best at scale {scale} of {string.Join(", ", Scales(session.Trials).Select(one => one.Scale))} (chosen on the tuning split, like the winner)."));
        var variables = space?.Variables ?? [];
        var (importance, fit) = ImportanceAnalysis.Of(variables, session.Trials, winner);
        return new SearchOutcome(search, sets, winner, session.Trials, front, variables, importance, fit, notes);
    }

    /// <summary>The models of a search without its base, in listing order.</summary>
    public static IReadOnlyList<ModelReference> Parents(SearchRecipe search) => [.. search.AllModels().Where(model => !model.Equals(BaseOf(search)))];

    /// <summary>The base of a search: the document's, else its recipe's; null where there is none.</summary>
    public static ModelReference? BaseOf(SearchRecipe search) => search.BaseModel ?? search.Template?.Start.BaseModel;

    private static ISearchSpace? Space(SearchRecipe search, ICandidateModels models) => search switch
    {
        { Template: { } template } => new TemplateSpace(template),
        { Genome: not null } => new GenomeSpace(search, models.Layers),
        { Kind: SearchKind.LearnedSoup } => new SoftmaxSpace(search),
        { Kind: SearchKind.Scale } => new ScaleSpace(search),
        _ => null,
    };

    private static (Trial? Winner, IReadOnlyList<Trial> Front) Search(
        SearchRecipe search, SearchSession session, WholeModelStrategies whole, ISearchSpace? space, IReadOnlyList<double> controlWeights, List<string> notes)
    {
        switch (search.Kind)
        {
            case SearchKind.UniformSoup:
                return (whole.Uniform() is { CanWin: true } mean ? mean : null, []);
            case SearchKind.GreedySoup:
                var (trace, soup) = whole.Greedy();
                notes.Add($"Order by own score: {string.Join(", ", trace.Order)}.");
                notes.AddRange(trace.Steps.Select(step => FormattableString.Invariant($"With {step.Candidate}: {step.Score:F5}, {(step.Accepted ? "joins" : "left out")}.")));
                if (session.GivenUp > 0)
                    notes.Add("Scores of soups that were given up early are estimates; a model joins only by a score on all items.");
                return (soup.CanWin ? soup : null, []);
            case SearchKind.Scale:
                var (choice, chosen) = whole.Scale(controlWeights);
                if (search.Control.Count > 0)
                    notes.Add(FormattableString.Invariant($"{choice.Allowed.Count} of {search.Scales.Count} scales keep {search.Keep:P0} of the control score: {string.Join(", ", choice.Allowed)}{(session.GivenUp > 0 ? $" ({session.GivenUp} others were given up early)" : "")}."));
                notes.Add(FormattableString.Invariant($"Chosen scale: {choice.Chosen}."));
                if (choice.Chosen is { } end && end != 0 && (end == search.Scales[0] || end == search.Scales[^1]))
                    notes.Add(FormattableString.Invariant($"That is the end of the scales tried ({search.Scales[0]} to {search.Scales[^1]}); 'scales' beyond it may be better."));
                return (chosen.CanWin ? chosen : null, []);
            default:
                return Numbers(search.Kind, new SpaceStrategies(space!, search, session), session);
        }
    }

    private static (Trial? Winner, IReadOnlyList<Trial> Front) Numbers(SearchKind kind, SpaceStrategies strategies, SearchSession session)
    {
        switch (kind)
        {
            case SearchKind.Grid:
                strategies.Grid();
                break;
            case SearchKind.Random:
                strategies.Random();
                break;
            case SearchKind.Nsga2:
                strategies.Evolve();
                return (session.Best, strategies.Front(session.Trials));
            default:
                strategies.Cma();
                break;
        }

        return (session.Best, []);
    }

    /// <summary>Scores points between where the search began and the winner; of a greedy soup, between its first member and the soup.</summary>
    private static void Line(SearchRecipe search, SearchSession session, WholeModelStrategies whole, ISearchSpace? space, Trial winner)
    {
        if (search.Kind == SearchKind.GreedySoup && RecipeReader.Parse(search.File, winner.Yaml)[0].AllModels() is { Count: > 1 } members)
            foreach (var share in LineShares)
                whole.Between(members, share);
        else if (space is not null && search.Kind != SearchKind.Scale && winner.Values.Count == space.Variables.Count)
            foreach (var share in LineShares)
            {
                double[] values = [.. space.Variables.Select((variable, i) => share == 1 ? winner.Values[i] : variable.Start + (share * (winner.Values[i] - variable.Start)))];
                session.Score(FormattableString.Invariant($"line {share}"), values, space.Write(values), role: "line");
            }
    }

    /// <summary>Where numbers of several task vectors are searched: one scale for all of them, the best on the tuning split of ten and of those then tried around the best.</summary>
    private static double? TaskArithmetic(SearchRecipe search, SearchSession session, WholeModelStrategies whole)
    {
        var parents = Parents(search);
        if (BaseOf(search) is not { } origin || parents.Count < 2 || (search.Template is null && search.Genome is null))
            return null;
        var best = ScaleRefinement.Best(ReferenceScales, scale => whole.Arithmetic(origin, parents, scale, Trial.Scale, FormattableString.Invariant($"{ScaleLabel}{scale}")).Objective);
        whole.Arithmetic(origin, parents, best, "reference", TaskArithmeticName);
        return best;
    }

    /// <summary>The scales of uniform task arithmetic that were tried, in rising order.</summary>
    internal static IEnumerable<(double Scale, Trial Trial)> Scales(IEnumerable<Trial> trials) => trials.Where(trial => trial.Role == Trial.Scale)
        .Select(trial => (Scale: double.Parse(trial.Label[ScaleLabel.Length..], CultureInfo.InvariantCulture), trial)).OrderBy(pair => pair.Scale);

    private static void References(SearchRecipe search, WholeModelStrategies whole)
    {
        var parents = Parents(search);
        if (BaseOf(search) is { } origin)
            whole.Mean([origin], "reference", $"{origin} (base)");
        foreach (var parent in parents)
            whole.Mean([parent], "reference");
        if (parents.Count > 1)
            whole.Mean(parents, "reference", "uniform soup");
    }
}
