using System.Diagnostics;
using System.Globalization;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Searching;

namespace MergeKit.Benchmarks;

/// <summary>Searches on the nano models: candidates a minute on about 8k tokens, against scoring a finished model alone and against writing each candidate; greedy soup over eight models.</summary>
internal static class SearchBenchmark
{
    private static readonly string[] Domains = ["code", "man", "german"];
    private static readonly string[] Soup = ["ft-shakespeare", "soup-shakespeare-1", "soup-shakespeare-2", "soup-shakespeare-bad", "ft-code", "ft-man", "ft-german", "ft-arithmetic"];

    /// <summary>Arguments: the folder of the nano models, that of the evaluation texts, <c>candidates=N</c>.</summary>
    public static int Run(string[] args)
    {
        var folders = args.Where(Directory.Exists).Select(Path.GetFullPath).ToList();
        if (folders is not [var models, var texts])
        {
            Console.Error.WriteLine("usage: search NANO-MODELS EVALUATION-TEXTS [candidates=N]");
            return 2;
        }

        var candidates = int.Parse(args.FirstOrDefault(arg => arg.StartsWith("candidates=", StringComparison.Ordinal))?["candidates=".Length..] ?? "60", CultureInfo.InvariantCulture);
        var scratch = Directory.CreateTempSubdirectory("mergekit-bench-").FullName;
        try
        {
            foreach (var racing in new[] { false, true })
                Candidates(models, texts, candidates, racing, Path.Combine(scratch, $"journal-{racing}"));
            Parts(models, texts, scratch);
            Profile(models, texts);
            foreach (var tokens in new[] { "tokens: 8000", "" })
                Greedy(models, texts, tokens, Path.Combine(scratch, $"soup-{tokens.Length}"));
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }

        return 0;
    }

    private static SearchRecipe Document(string yaml) => (SearchRecipe)RecipeReader.ParseDocuments("search.yml", yaml)[0];

    private static string Experts(string models, string texts, int candidates, bool racing) => $$$"""
        search: cma_es
        recipe:
          merge_method: task_arithmetic
          base_model: {{{models}}}/base
          models:
        {{{string.Join('\n', Domains.Select(domain => $"  - {{model: {models}/ft-{domain}, parameters: {{weight: {{search: [0, 1], start: 0.3, points: 2}}}}}}"))}}}
          dtype: float32
          out_dtype: bfloat16
        tune:
        {{{string.Join('\n', Domains.Select(domain => $"- {{data: {texts}/{domain}/val.txt, tokens: 2730}}"))}}}
        candidates: {{{candidates}}}
        racing: {{{(racing ? "true" : "false")}}}
        """;

    private static (TimeSpan Time, SearchOutcome Outcome, int Tokens) Search(SearchRecipe search, string journal)
    {
        using var candidates = InMemoryCandidates.Open("search.yml", SearchJob.AllModels(search), new PlanOptions());
        var data = TuningSets.Prepare(search, path => path, candidates.Encoder, candidates.MaxLength, candidates.VocabularySize);
        using var trials = TrialJournal.Open(journal, "bench");
        var (watch, last) = (Stopwatch.StartNew(), TimeSpan.Zero);
        var outcome = SearchRunner.Run(search, candidates, data.Sets, data.ControlWeights, trials, trial => last = trial.Role == Trial.Candidate ? watch.Elapsed : last);
        return (last, outcome, data.Sets.OfType<TextTuningSet>().Sum(set => set.Tokens));
    }

    private static void Candidates(string models, string texts, int count, bool racing, string journal)
    {
        var (time, outcome, tokens) = Search(Document(Experts(models, texts, count, racing)), journal);
        var done = outcome.Candidates.Count();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"CMA-ES, task arithmetic of three experts, {tokens} tuning tokens, racing {(racing ? "on" : "off")}: {done} candidates in {time.TotalSeconds:F2} s = {done / time.TotalMinutes:F0} a minute "
            + $"(300 are wanted); {outcome.Candidates.Count(trial => !trial.Scores.Complete)} given up early; best {outcome.Winner.Objective:F4}"));
    }

    /// <summary>What a candidate's time consists of, beside the same work through files.</summary>
    private static void Parts(string models, string texts, string scratch)
    {
        var search = Document(Experts(models, texts, 1, false));
        using var candidates = InMemoryCandidates.Open("search.yml", SearchJob.AllModels(search), new PlanOptions());
        var data = TuningSets.Prepare(search, path => path, candidates.Encoder, candidates.MaxLength, candidates.VocabularySize);
        var tuner = new Tuner(data.Sets, 0);
        var yaml = search.Template!.Write([.. search.Template.Variables.Select(variable => variable.Start)]);
        var (index, model) = (0, candidates.Build("warm", yaml));
        var turns = new Turns(9, () => candidates.Build("candidate", yaml), () => tuner.Score(model, null, default), () =>
        {
            var folder = Path.Combine(scratch, $"written-{index++}");
            using var plan = MergePlanner.Plan(RecipeReader.Parse("search.yml", yaml)[0], new PlanOptions());
            new MergeRunner(plan, new MergeProgress()).Run(folder, ResumeMode.Never, _ => new Dictionary<string, string>(), default);
            LanguageModel.Open(folder).Dispose();
        });
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"one candidate: merge in memory {1e3 * turns.Fastest(0):F1} ms, scoring {1e3 * turns.Fastest(1):F1} ms; the yardstick, the same merge written, verified and opened: {1e3 * turns.Fastest(2):F1} ms, "
            + $"{turns.Ratio(0, 2):F0} times the merge in memory"));
    }

    /// <summary>Where the scoring of one candidate spends its time: the median of some passes, per operation of the backend.</summary>
    private static void Profile(string models, string texts)
    {
        var search = Document(Experts(models, texts, 1, false));
        using var plan = MergePlanner.Plan(RecipeReader.Parse("search.yml", search.Template!.Write([.. search.Template.Variables.Select(variable => variable.Start)]))[0], new PlanOptions());
        using var candidates = InMemoryCandidates.Open("search.yml", SearchJob.AllModels(search), new PlanOptions());
        var data = TuningSets.Prepare(search, path => path, candidates.Encoder, candidates.MaxLength, candidates.VocabularySize);
        TimedBackend? timed = null;
        using var merged = MergedModel.Open("profiled", plan, network => timed = new TimedBackend(new CpuBackend(network)));
        var (tuner, model) = (new Tuner(data.Sets, 0), new EvaluatedModel(merged.Model, candidates.Encoder, candidates.Encoder.Id));
        var passes = new List<Dictionary<string, (double Seconds, int Calls)>>();
        for (var pass = 0; pass < 9; pass++)
        {
            timed!.Clear();
            var start = Stopwatch.GetTimestamp();
            tuner.Score(model, null, default);
            var times = timed.Times.ToDictionary();
            times["rest"] = (Stopwatch.GetElapsedTime(start).TotalSeconds - times.Values.Sum(time => time.Seconds), 1);
            passes.Add(times);
        }

        foreach (var name in passes[^1].Keys)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name}: {1e3 * passes.Select(times => times[name].Seconds).Order().ElementAt(passes.Count / 2):F1} ms in {passes[^1][name].Calls} calls"));
    }

    private static void Greedy(string models, string texts, string tokens, string journal)
    {
        var search = Document($$"""
            search: greedy_soup
            models: [{{string.Join(", ", Soup.Select(name => $"{{model: {models}/{name}}}"))}}]
            tune: [{data: {{texts}}/shakespeare/val.txt{{(tokens.Length > 0 ? ", " + tokens : "")}}}]
            out_dtype: bfloat16
            """);
        var (time, outcome, scored) = Search(search, journal);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"greedy soup over {Soup.Length} models, {scored} tuning tokens: {outcome.Candidates.Count()} candidates in {time.TotalSeconds:F2} s (20 s are allowed); "
            + $"{outcome.Winner.Objective:F4}, best member {outcome.References.Where(trial => trial.Label != "uniform soup").Min(trial => trial.Objective):F4}"));
    }
}
