using System.Text.Json.Nodes;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Searches through the command line, on the trained models of the examples.</summary>
public sealed class SearchCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Document(int candidates = 12, string kind = "cma_es", string more = "") => $$$$"""
        search: {{{{kind}}}}
        recipe:
          merge_method: task_arithmetic
          base_model: examples/models/base
          models:
          - {model: examples/models/ft-code, parameters: {weight: {search: [0, 1], start: 0.3}}}
          - {model: examples/models/ft-arithmetic, parameters: {weight: {search: [0, 1], start: 0.3}}}
          dtype: float32
          out_dtype: bfloat16
        tune:
        - {data: examples/data/arithmetic/val.txt, name: sums, tokens: 1500}
        - {data: examples/data/code/zlib-header.txt, name: C, tokens: 1500}
        candidates: {{{{candidates}}}}
        seed: 4
        {{{{more}}}}
        """;

    private string Write(string text, string name = "search.yml")
    {
        File.WriteAllText(_folder.Join(name), text);
        return _folder.Join(name);
    }

    private static RunResult Run(params string[] arguments) => CommandLine.Run([.. arguments, "--working-directory", Repository.Root]);

    private static RunResult Done(params string[] arguments)
    {
        var run = Run(arguments);
        Assert.True(run.ExitCode == 0, run.ToString());
        return run;
    }

    private JsonNode Json(string folder) => JsonNode.Parse(File.ReadAllText(_folder.Join(folder, "search.json")))!;

    [Fact]
    public void The_winner_is_an_ordinary_recipe_that_gives_the_model_that_was_scored()
    {
        var recipe = Write(Document(more: "test: [{data: examples/data/arithmetic/exact.jsonl, limit: 30}]").Replace(", tokens: 1500", "", StringComparison.Ordinal)
            .Replace("code/zlib-header.txt", "arithmetic/mc_val.jsonl", StringComparison.Ordinal));
        var run = Done("run", recipe, _folder.Join("out"), "--no-check");
        Done("run", _folder.Join("out-search", "winner.yml"), _folder.Join("again"), "--no-check");
        Assert.Equal(FolderContent.Read(_folder.Join("again"))["model.safetensors"], FolderContent.Read(_folder.Join("out"))["model.safetensors"]);
        var winner = Json("out-search")["winner"]!;
        Assert.Equal(12, Json("out-search")["trials"]!.AsArray().Count(trial => trial!["role"]!.GetValue<string>() == "candidate"));
        var measured = JsonNode.Parse(Done("evaluate", _folder.Join("out"), "--data", "examples/data/arithmetic/val.txt", "examples/data/arithmetic/mc_val.jsonl", "--json").Output)!;
        var losses = measured["results"]!.AsArray().Select(result => result!["metrics"]!.AsObject()).Select(metrics =>
            metrics["bits_per_byte"]?["value"]!.GetValue<double>() ?? 1 - metrics["acc"]!["value"]!.GetValue<double>()).ToList();
        Assert.Equal(winner["losses"]!.AsArray().Select(loss => loss!.GetValue<double>()), losses, new Near(1e-9));
        Assert.Contains("out", run.Output, StringComparison.Ordinal);
        Assert.Equal(["winner", "base", "ft-code", "ft-arithmetic", "uniform soup", "uniform task arithmetic", "ensemble of 2"], Json("out-search")["test"]!["models"]!.AsArray().Select(name => name!.GetValue<string>()));
        Assert.Equal(6, Json("out-search")["test"]!["comparisons"]!.AsArray().Count);
    }

    [Fact]
    public void A_killed_search_goes_on_to_the_same_result()
    {
        var recipe = Write(Document(candidates: 30));
        string[] Arguments(string folder) => ["search", recipe, _folder.Join(folder), "--working-directory", Repository.Root, "--num-threads", "1"];
        Assert.Equal(0, MergeKitProcess.Run(Arguments("whole")).ExitCode);
        var kills = 0;
        for (var i = 0; i < 2; i++)
        {
            var ended = false;
            for (var attempt = 0; attempt < 40 && !ended; attempt++)
            {
                using var process = MergeKitProcess.Start(Arguments($"killed-{i}"));
                ended = KilledAfter(process, _folder.Join($"killed-{i}", "journal.jsonl"), 7000 + (6000 * i));
                kills += ended ? 0 : 1;
            }

            Assert.True(ended, "the search never came to its end");
            Assert.Equal(File.ReadAllText(_folder.Join("whole", "winner.yml")), File.ReadAllText(_folder.Join($"killed-{i}", "winner.yml")));
            Assert.Equal(Trials("whole"), Trials($"killed-{i}"));
            Assert.True(Json($"killed-{i}")["resumed"]!.GetValue<int>() > 0);
        }

        Assert.True(kills >= 3, $"only {kills} kills");
    }

    /// <summary>Waits until the journal has grown by so many bytes, then kills; true: the program ended before.</summary>
    private static bool KilledAfter(MergeKitProcess process, string journal, long bytes)
    {
        var before = Length(journal);
        while (Length(journal) < before + bytes)
            if (process.EndsSoon)
                return process.Finish() is var run && run.ExitCode == 0 ? true : throw new InvalidOperationException(run.ToString());
        return process.EndsWithin(TimeSpan.Zero);
    }

    /// <summary>Bytes of a file that another process is writing.</summary>
    private static long Length(string path) => new FileInfo(path) is { Exists: true } file ? file.Length : 0;

    private string Trials(string folder) => Json(folder)["trials"]!.ToJsonString();

    [Fact]
    public void A_finished_search_is_taken_from_its_journal()
    {
        var recipe = Write(Document());
        Done("search", recipe, _folder.Join("dir"));
        var trials = Trials("dir");
        Assert.Contains("trials taken from the journal", Done("search", recipe, _folder.Join("dir")).Output, StringComparison.Ordinal);
        Assert.Equal(trials, Trials("dir"));
        Assert.DoesNotContain("taken from the journal", Done("search", recipe, _folder.Join("dir"), "--no-resume").Output, StringComparison.Ordinal);
        Assert.Equal(trials, Trials("dir"));
    }

    [Fact]
    public void A_greedy_soup_is_no_worse_than_its_best_member_where_it_was_tuned()
    {
        var soup = Write("""
            search: greedy_soup
            models: [{model: tests/fixtures/models/nano/ckpt-man-400}, {model: tests/fixtures/models/nano/ckpt-man-500}, {model: tests/fixtures/models/nano/ckpt-man-600}]
            tune: [{data: examples/data/prose/kjv.txt, tokens: 4000}]
            """);
        Done("search", soup, _folder.Join("soup"));
        var json = Json("soup");
        var best = json["trials"]!.AsArray().Where(trial => trial!["role"]!.GetValue<string>() == "reference").Min(trial => trial!["objective"]!.GetValue<double>());
        Assert.InRange(json["winner"]!["objective"]!.GetValue<double>(), 0, best);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_raced_greedy_soup_of_the_trained_family_has_the_same_members(int seed)
    {
        string Soup(string racing) => $"""
            search: greedy_soup
            models: [{string.Join(", ", new[] { "ft-shakespeare", "soup-shakespeare-1", "soup-shakespeare-2", "soup-shakespeare-bad", "ft-code" }.Select(name => $"{{model: tests/fixtures/models/nano/{name}}}"))}]
            tune: [{"{"}data: examples/data/prose/kjv.txt{"}"}]
            seed: {seed}
            racing: {racing}
            """;
        Done("search", Write(Soup("true")), _folder.Join("raced"));
        Done("search", Write(Soup("false")), _folder.Join("whole"));
        Assert.Equal(File.ReadAllText(_folder.Join("whole", "winner.yml")), File.ReadAllText(_folder.Join("raced", "winner.yml")));
        int Cut(string folder) => Json(folder)["trials"]!.AsArray().Count(trial => !trial!["complete"]!.GetValue<bool>());
        Assert.Equal(0, Cut("whole"));
        Assert.InRange(Cut("raced"), 1, 4);
    }

    [Fact]
    public void The_report_is_one_page_with_every_part()
    {
        Done("search", Write(Document(candidates: 16, kind: "nsga2", more: "population: 8\ntest: [{data: examples/data/arithmetic/mc.jsonl, limit: 20}]")), _folder.Join("front"));
        var html = File.ReadAllText(_folder.Join("front", "search.html"));
        foreach (var part in new[] { "The winner", "On the test split", "On the tuning split", "Trajectory", "Which parameters matter", "Between start and winner", "The front", "Content-Security-Policy" })
            Assert.Contains(part, html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        Assert.True(File.Exists(_folder.Join("front", "front-01.yml")));
    }

    public static TheoryData<string, string> Faults => new()
    {
        { Document(more: "test: [{data: examples/data/arithmetic/val.txt}]"), "is tuned on, so it cannot be the test as well" },
        { Document(more: "test: [{data: examples/data/arithmetic/mc.jsonl, metric: acc_norm}]"), "'metric' has no meaning for test data" },
        { Document(more: "test: [{data: examples/data/arithmetic/mc.jsonl}, {data: examples/data/arithmetic/mc.jsonl, limit: 3}]"), "two test data sets have the name 'arithmetic/mc'" },
        { Document(more: "test: [{data: examples/data}]"), "examples/data: this is a folder" },
        { Document(more: "test: [{data: /dev/null}]"), "/dev/null: the file is empty" },
        { Document().Replace("arithmetic/val.txt", "arithmetic", StringComparison.Ordinal), "examples/data/arithmetic: this is a folder" },
        { Document(more: "test: [{data: nowhere.txt}]"), "nowhere.txt: no such file" },
        { Document().Replace("arithmetic/val.txt", "arithmetic/vale.txt", StringComparison.Ordinal), "vale.txt: no such file" },
        { Document().Replace("ft-code,", "ft-cod,", StringComparison.Ordinal), "model 'examples/models/ft-cod'" },
        { Document().Replace("name: C,", "name: sums,", StringComparison.Ordinal), "have the name 'sums'" },
        { Document().Replace("tokens: 1500}\n", "metric: acc}\n", StringComparison.Ordinal), "the metric 'acc' does not go with a text" },
        { Document().Replace("weight: {search", "wieght: {search", StringComparison.Ordinal), "unknown parameter 'wieght'" },
        { Document() + "\n---\nname: two\n" + Document(), "exactly one" },
        { "merge_method: linear\nmodels: [{model: examples/models/base, parameters: {weight: 1}}]", "has 0 documents with 'search'" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void What_cannot_be_is_refused_with_its_reason(string document, string reason)
    {
        var run = Run("search", Write(document), _folder.Join("dir"));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(reason, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_tuned_is_what_the_test_compares()
    {
        var text = Document(candidates: 3, more: "test: [{data: examples/data/arithmetic/mc.jsonl, limit: 10}]")
            .Replace("{data: examples/data/arithmetic/val.txt, name: sums, tokens: 1500}", "{data: examples/data/arithmetic/mc_val.jsonl, metric: prob, limit: 20}", StringComparison.Ordinal);
        Done("search", Write(text), _folder.Join("dir"));
        Assert.All(Json("dir")["test"]!["comparisons"]!.AsArray(), one => Assert.Equal(("prob", true), ((string)one!["metric"]!, (bool)one["higher_is_better"]!)));
    }

    [Fact]
    public void A_copy_of_the_tuning_data_is_no_test()
    {
        File.Copy(Path.Combine(Repository.Root, "examples", "data", "arithmetic", "val.txt"), _folder.Join("fresh.txt"));
        Assert.Contains("fresh.txt: holds the same as", Run("search", Write(Document(more: $"test: [{{data: {_folder.Join("fresh.txt")}}}]")), _folder.Join("dir")).Error, StringComparison.Ordinal);
    }

    private static string Half(string name = "half") => $"name: {name}\nmerge_method: linear\nmodels: [{{model: examples/models/base, parameters: {{weight: 1}}}}, {{model: examples/models/ft-code, parameters: {{weight: 1}}}}]\nout_dtype: bfloat16\n";

    /// <summary>A search whose parent is another document's result, in memory, in the folder of intermediate results, or written anyway because its vocabulary is made anew.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_search_takes_the_results_of_other_documents(bool kept, bool vocabulary)
    {
        var text = Half() + (vocabulary ? "tokenizer_source: union\n" : "") + "---\n"
            + Document(candidates: 5, more: "test: [{data: examples/data/arithmetic/exact.jsonl, limit: 10}]").Replace("examples/models/ft-code", "half", StringComparison.Ordinal);
        Done(["run", Write(text), _folder.Join("out"), "--no-check", .. kept ? ["-I", _folder.Join("kept")] : Array.Empty<string>()]);
        Assert.Equal(kept, File.Exists(_folder.Join("kept", "half", "model.safetensors")));
        Assert.Equal(["base", "half", "ft-arithmetic"], Json("out-search")["test"]!["models"]!.AsArray().Select(name => name!.GetValue<string>()).Skip(1).Take(3));

        // The same parent from a folder is the same search, and the recipe that comes out makes the same model.
        Done("run", Write(Half().Replace("name: half\n", "", StringComparison.Ordinal), "half.yml"), _folder.Join("half"), "--no-check");
        Done("run", Write(Document(candidates: 5).Replace("examples/models/ft-code", _folder.Join("half"), StringComparison.Ordinal)), _folder.Join("plain"), "--no-check");
        Done("run", _folder.Join("out-search", "winner.yml"), _folder.Join("again"), "--no-check");
        var weights = FolderContent.Read(_folder.Join("out"))["model.safetensors"];
        Assert.Equal(weights, FolderContent.Read(_folder.Join("again"))["model.safetensors"]);
        Assert.Equal(weights, FolderContent.Read(_folder.Join("plain"))["model.safetensors"]);
        double[] Losses(string folder) => [.. Json(folder)["trials"]!.AsArray().SelectMany(trial => trial!["losses"]!.AsArray()).Select(loss => loss!.GetValue<double>())];
        Assert.Equal(Losses("plain-search"), Losses("out-search"));
    }

    [Fact]
    public void A_search_command_makes_the_parents_that_stand_beside_it()
    {
        var text = Half("first") + "---\n" + Half().Replace("examples/models/ft-code", "first", StringComparison.Ordinal) + "---\n" + Document(candidates: 3).Replace("examples/models/ft-code", "half", StringComparison.Ordinal);
        Done("search", Write(text), _folder.Join("dir"));
        var trials = Trials("dir");
        Assert.Contains("trials taken from the journal", Done("search", Write(text), _folder.Join("dir")).Output, StringComparison.Ordinal);
        Assert.Equal(trials, Trials("dir"));
        Assert.Equal(3, File.ReadAllText(_folder.Join("dir", "winner.yml")).Split("---\n").Length);
        Done("run", _folder.Join("dir", "winner.yml"), _folder.Join("out"), "--no-check");
    }

    [Fact]
    public void A_search_takes_the_winner_of_another_and_its_recipe_says_so()
    {
        var text = "name: found\n" + Document(candidates: 3) + "\n---\n" + Document(candidates: 3).Replace("examples/models/ft-code", "found", StringComparison.Ordinal);
        Done("run", Write(text), _folder.Join("out"), "--no-check");
        var winner = File.ReadAllText(_folder.Join("out-search", "winner.yml"));
        Assert.Contains("name: found", winner, StringComparison.Ordinal);
        Assert.DoesNotContain("search:", winner, StringComparison.Ordinal);
        Done("run", _folder.Join("out-search", "winner.yml"), _folder.Join("again"), "--no-check");
        Assert.Equal(FolderContent.Read(_folder.Join("out"))["model.safetensors"], FolderContent.Read(_folder.Join("again"))["model.safetensors"]);
    }

    [Fact]
    public void An_ensemble_is_no_parent_and_faults_of_models_and_data_come_together()
    {
        var text = "name: both\nensemble: linear\nmodels: [{model: examples/models/base}, {model: examples/models/ft-man}]\n---\n" + Document().Replace("examples/models/ft-code", "both", StringComparison.Ordinal);
        Assert.Contains("model 'both' is an ensemble of this file", Run("search", Write(text), _folder.Join("dir")).Error, StringComparison.Ordinal);
        var run = Run("search", Write(Document().Replace("ft-code,", "ft-cod,", StringComparison.Ordinal).Replace("val.txt", "vale.txt", StringComparison.Ordinal)), _folder.Join("dir"));
        Assert.Contains("ft-cod'", run.Error, StringComparison.Ordinal);
        Assert.Contains("vale.txt: no such file", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Other_documents_take_the_result_of_a_search()
    {
        var text = "name: found\n" + Document(candidates: 3) + "\n---\nmerge_method: linear\nmodels: [{model: found, parameters: {weight: 1}}, {model: examples/models/base, parameters: {weight: 1}}]\nout_dtype: float32\n"
            + "---\nevaluate: [{data: examples/data/arithmetic/mc.jsonl, limit: 10}]\nmodels: [{model: found}]\n";
        var run = Done("run", Write(text), _folder.Join("out"), "--no-check");
        Assert.Contains("found", run.Output, StringComparison.Ordinal);
        Assert.True(File.Exists(_folder.Join("out-search-found", "winner.yml")));
    }

    [Fact]
    public void Suggest_writes_a_recipe_that_runs()
    {
        var run = Done("suggest", "examples/models/ft-code", "examples/models/ft-man", "--base", "examples/models/base");
        Assert.StartsWith("# ", run.Output, StringComparison.Ordinal);
        Assert.Contains("cosine", run.Error, StringComparison.Ordinal);
        Done("run", Write(run.Output, "suggested.yml"), _folder.Join("suggested"), "--no-check");
        Assert.Contains("merge_method: linear", Done("suggest", "tests/fixtures/models/nano/ckpt-man-400", "tests/fixtures/models/nano/ckpt-man-500", "--base", "examples/models/base", "--no-probe").Output, StringComparison.Ordinal);
        Assert.Contains("far from the base", Done("suggest", "tests/fixtures/models/nano/base-b", "examples/models/ft-man", "--base", "examples/models/base", "--no-probe").Output, StringComparison.Ordinal);
        var both = Run("suggest", "nowhere", "--base", "examples/models/base", "--probe", "no-text.txt", "examples/data/arithmetic/mc.jsonl");
        foreach (var part in new[] { "nowhere", "no-text.txt", "--probe takes texts; examples/data/arithmetic/mc.jsonl holds items" })
            Assert.Contains(part, both.Error, StringComparison.Ordinal);
        foreach (var wrong in new string[][] { ["suggest", "nowhere", "--base", "examples/models/base"], ["suggest", "examples/models/base", "--base", "examples/models/base"], ["suggest", "examples/models/ft-man"] })
            Assert.Equal(2, Run(wrong).ExitCode);
    }

    private sealed class Near(double tolerance) : IEqualityComparer<double>
    {
        public bool Equals(double x, double y) => Math.Abs(x - y) <= tolerance * Math.Abs(y);

        public int GetHashCode(double value) => 0;
    }
}
