using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Reports;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Searching;

/// <summary>How a search is run.</summary>
public sealed record SearchJobOptions
{
    /// <summary>Where the journal is kept.</summary>
    public required string JournalPath { get; init; }

    /// <summary>Folder, seed, threads and chunks of merges.</summary>
    public required PlanOptions Plan { get; init; }

    /// <summary>Where candidates are merged and run.</summary>
    public DeviceChoice Device { get; init; }

    /// <summary>Where a path of the document leads.</summary>
    public required Func<string, string> Resolve { get; init; }

    /// <summary>Called after every trial with the number of trials that were found in the journal.</summary>
    public Action<Trial, int>? Report { get; init; }
}

/// <summary>Carries a search document out: models opened once, candidates in memory, and at the very end the test data, once.</summary>
public static class SearchJob
{
    /// <summary>What the winner is called in tables.</summary>
    public const string WinnerName = "winner";

    /// <summary>Runs a search.</summary>
    /// <exception cref="InputException">The document, the models or the data cannot be used; lists everything found.</exception>
    public static SearchReport Run(SearchRecipe search, SearchJobOptions options, CancellationToken cancellation)
    {
        using var candidates = Open(search, options);
        var data = TuningSets.Prepare(search, options.Resolve, candidates.Encoder, candidates.MaxLength, candidates.VocabularySize);
        using var journal = TrialJournal.Open(options.JournalPath, SearchIdentity.Take(search, candidates.Opened, data.Files));
        var outcome = SearchRunner.Run(
            search, candidates, data.Sets, data.ControlWeights, journal, trial => options.Report?.Invoke(trial, journal.Resumed), cancellation);
        candidates.Finish();
        var test = search.Test.Count == 0 ? null : Test(search, outcome, candidates, options, cancellation);
        return new SearchReport($"Search: {search.KindName}", outcome, test, journal.Resumed, [.. Warnings(search, outcome, data), .. candidates.Notes]);
    }

    /// <summary>Opens the models; what is wrong with them is reported beside what is wrong with the data.</summary>
    private static InMemoryCandidates Open(SearchRecipe search, SearchJobOptions options)
    {
        var problems = TuningSets.Check(search, options.Resolve);
        try
        {
            var candidates = InMemoryCandidates.Open(search.File, AllModels(search), options.Plan, options.Device);
            if (problems.Count == 0)
                return candidates;
            candidates.Dispose();
        }
        catch (InputException e) when (problems.Count > 0)
        {
            throw new InputException([.. e.Problems.Where(problem => problem.Severity == Severity.Error), .. problems]);
        }

        throw new InputException(problems);
    }

    /// <summary>A recipe that names all models, the base first.</summary>
    public static Recipe AllModels(SearchRecipe search)
    {
        var models = SearchRunner.BaseOf(search) is { } origin ? [origin, .. SearchRunner.Parents(search)] : SearchRunner.Parents(search);
        var start = search.Template?.Start;
        return new Recipe(
            search.File, null, "linear", search.Location, SearchRunner.BaseOf(search),
            [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice([.. models.Select(model => new RecipeSource(model, null, Weight(search), model.Location))], null, Parameters.Empty, search.Location)], Parameters.Empty)],
            Parameters.Empty, search.DType ?? start?.DType, search.OutDType ?? start?.OutDType, start?.Tokenizer ?? GenomeTokenizer(search), null, "", RecipeForm.Models);
    }

    /// <summary>A genome's tokenizer_source, which a recipe would spell the same.</summary>
    private static TokenizerSpec? GenomeTokenizer(SearchRecipe search) => search.Genome?.TokenizerSource is { } source
        ? RecipeReader.Parse(search.File, $"merge_method: linear\nmodels: [{{model: x}}]\ntokenizer_source: {System.Text.Json.JsonSerializer.Serialize(source)}")[0].Tokenizer
        : null;

    private static Parameters Weight(SearchRecipe search) => new(new Dictionary<string, ParameterValue> { ["weight"] = new ScalarValue(1, search.Location) });

    private static EvaluationResult Test(SearchRecipe search, SearchOutcome outcome, InMemoryCandidates candidates, SearchJobOptions options, CancellationToken cancellation)
    {
        var open = new List<IDisposable>();
        try
        {
            var models = new List<EvaluatedModel> { Merged(WinnerName, outcome.Winner.Yaml) };
            foreach (var model in candidates.Opened.Models)
                models.Add(Parent(model, Unique(model.ToString(), models)));

            var parents = SearchRunner.Parents(search).Count;
            if (parents > 1)
                models.AddRange(outcome.References.Where(trial => trial is { Label: "uniform soup" or SearchRunner.TaskArithmeticName, Failure: null } && trial.Yaml != outcome.Winner.Yaml).Select(trial => Merged(trial.Label, trial.Yaml)));
            var members = models.Skip(candidates.Opened.Models.Count - parents + 1).Take(parents).Select(model => model.Model).ToList();
            if (parents > 1 && members.TrueForAll(member => member.VocabularySize == members[0].VocabularySize))
                models.Add(Named(new Ensemble($"ensemble of {parents}", members, new LinearCombiner([.. members.Select(_ => 1.0)]))));
            return Evaluate(search, outcome, models, options, cancellation);
        }
        finally
        {
            open.ForEach(one => one.Dispose());
        }

        EvaluatedModel Named(ILanguageModel model) => new(model, candidates.Encoder, candidates.Encoder.Id);

        EvaluatedModel Merged(string name, string yaml)
        {
            var model = candidates.Keep(name, yaml);
            open.Add(model);
            return Named(model.Model);
        }

        // A plain folder runs as it lies there; anything else (an adapter, another format, another vocabulary, a result in memory) as the merge of it alone.
        EvaluatedModel Parent(LoadedModel model, string name)
        {
            if (model.Stage is not null || model.Reference is not { Adapter: null, Revision: null } || candidates.Opened.Vocabulary is not null || !File.Exists(Path.Combine(model.Folder, "model.safetensors")))
                return Merged(name, outcome.References.First(trial => trial.Label == model.ToString() || trial.Label == $"{model} (base)").Yaml);
            var folder = candidates.OnChosen(device => ModelFolder.Open(model.Folder, name, options.Plan.Threads, device));
            open.Add(folder);
            return folder.ForEvaluation();
        }
    }

    /// <summary>What was tuned on multiple choice is what models are compared by.</summary>
    private static string ChoiceMetric(SearchOutcome outcome) =>
        outcome.Sets.Where(set => set.Weight > 0 && set.Metric is not ("bits_per_byte" or "exact_match")).Select(set => set.Metric).Distinct().ToList() is [var metric] ? metric : "acc";

    private static EvaluationResult Evaluate(SearchRecipe search, SearchOutcome outcome, IReadOnlyList<EvaluatedModel> models, SearchJobOptions options, CancellationToken cancellation)
    {
        var data = search.Test.Select(one => DataSetReader.Read(options.Resolve(one.Path), one.Name).First(one.Limit)).ToList();
        return Evaluator.Run(models, data, new EvaluationOptions { Baseline = WinnerName, Seed = search.Seed, ChoiceMetric = ChoiceMetric(outcome) }, cancellation);
    }

    private static string Unique(string path, IReadOnlyList<EvaluatedModel> taken)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(path)) is { Length: > 0 } last ? last : path;
        return taken.All(model => model.Name != name) ? name : path;
    }

    private static IEnumerable<string> Warnings(SearchRecipe search, SearchOutcome outcome, TuningSets data)
    {
        if (search.Test.Count == 0)
            yield return "There is no 'test' data: the tuning scores of a winner flatter it, the more so the more candidates were tried.";
        if (outcome.References.Where(trial => trial.Objective < outcome.Winner.Objective).MinBy(trial => trial.Objective) is { } better && search.Task != ScaleTask.Negation)
            yield return FormattableString.Invariant($"On the tuning split the winner ({outcome.Winner.Objective:F5}) is worse than {better.Label} ({better.Objective:F5}).");
        foreach (var set in data.Sets.Where(set => set.Count < 20))
            yield return $"The tuning set '{set.Name}' has only {set.Count} item{(set.Count == 1 ? "" : "s")}.";
    }
}
