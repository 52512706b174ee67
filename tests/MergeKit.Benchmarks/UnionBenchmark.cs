using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Benchmarks;

/// <summary>Times a linear merge of two 1 GB models whose vocabularies are united, as a whole process, against the plain linear merge of the same
/// weights, turn by turn; neither result is run afterwards (--no-check). The second vocabulary holds the first one's tokens in another order, so that every row of its matrices moves, and some of its own.</summary>
internal static class UnionBenchmark
{
    private const int Replaced = 500;

    public static int Run(string[] args)
    {
        var program = args.FirstOrDefault(arg => arg.StartsWith("--program=", StringComparison.Ordinal))?["--program=".Length..] ?? Path.Combine(AppContext.BaseDirectory, "mergekit");
        var folder = Path.GetFullPath(args.FirstOrDefault(arg => !arg.StartsWith('-')) ?? Path.Combine(Path.GetTempPath(), "mergekit-bench"));
        var models = Prepare(folder);
        if (args.Contains("--prepare"))
            return 0;
        var (plain, union) = (Recipe(folder, "plain", models.Plain, ""), Recipe(folder, "union", models.WithTokenizers, "tokenizer_source: union\n"));
        var runs = new List<(double Plain, double Union, double Memory)>();
        var repeats = args.Contains("--quick") ? 1 : 5;
        for (var i = 0; i <= repeats; i++)
        {
            var (seconds, _) = MergeBenchmark.Merge(program, plain, Path.Combine(folder, "out-plain"), "--no-check");
            var (united, memory) = MergeBenchmark.Merge(program, union, Path.Combine(folder, "out-union"), "--no-check");
            if (i > 0 || repeats == 1)
                runs.Add((seconds, united, memory));
        }

        var ratios = runs.Select(run => run.Union / run.Plain).Order().ToList();
        Console.WriteLine("| plain (s) | union (s) | union / plain | wanted | peak anonymous memory (MB) | wanted |\n|---|---|---|---|---|---|");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {Median(runs.Select(run => run.Plain)):F2} | {Median(runs.Select(run => run.Union)):F2} | {Median(ratios):F2} ({ratios[0]:F2} to {ratios[^1]:F2}) | 1.5 | {runs.Max(run => run.Memory):F0} | 400 |"));
        return 0;
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    private static string Recipe(string folder, string name, string[] models, string setting)
    {
        var path = Path.Combine(folder, name + ".yml");
        File.WriteAllText(path, "merge_method: linear\nmodels:\n" + string.Concat(models.Select(model => $"- {{model: {model}, parameters: {{weight: 0.5}}}}\n")) + "dtype: bfloat16\n" + setting);
        return path;
    }

    /// <summary>The models, and the same weights once more with tokenizers beside them.</summary>
    private static (string[] Plain, string[] WithTokenizers) Prepare(string folder)
    {
        var shape = SyntheticLlama.OneGigabyte;
        string[] plain = [Path.Combine(folder, "1gb", "base"), Path.Combine(folder, "1gb", "ft1")];
        string[] tokenized = [Path.Combine(folder, "tok", "base"), Path.Combine(folder, "tok", "ft1")];
        var text = string.Concat(Enumerable.Range(0, 40000).Select(i => $"word{i % 977} thing{i % 313} "));
        var first = SyntheticTokenizer.Json(text, shape.Vocabulary, KnownSplits.Llama3);
        for (var i = 0; i < plain.Length; i++)
        {
            if (!File.Exists(Path.Combine(plain[i], "config.json")))
                shape.Write(plain[i], i, i == 0 ? 0 : 0.002f);
            Directory.CreateDirectory(tokenized[i]);
            foreach (var file in Directory.EnumerateFiles(plain[i]))
                if (!File.Exists(Path.Combine(tokenized[i], Path.GetFileName(file))))
                    File.CreateSymbolicLink(Path.Combine(tokenized[i], Path.GetFileName(file)), file);
            File.WriteAllText(Path.Combine(tokenized[i], "tokenizer.json"), i == 0 ? first : Shuffled(first));
        }

        return (plain, tokenized);
    }

    /// <summary>The same tokenizer with its ids in another order, and other tokens in place of the last ones.</summary>
    private static string Shuffled(string json)
    {
        var root = JsonNode.Parse(json)!.AsObject();
        var model = root["model"]!.AsObject();
        var most = SyntheticLlama.OneGigabyte.Vocabulary;
        var tokens = model["vocab"]!.AsObject().Select(pair => pair.Key).ToList();
        var merges = model["merges"]!.AsArray().Select(merge => merge!.GetValue<string>()).ToList();
        var gone = tokens.TakeLast(Replaced).ToHashSet(StringComparer.Ordinal);
        tokens.RemoveAll(gone.Contains);
        merges.RemoveAll(merge => merge.Split(' ').Append(merge.Replace(" ", "", StringComparison.Ordinal)).Any(gone.Contains));
        foreach (var (left, right) in tokens.TakeLast(4 * Replaced).Select((token, i) => (token, tokens[256 + i])).ToList())
            if (tokens.Count < most && !gone.Contains(left + right) && !tokens.Contains(left + right))
            {
                tokens.Add(left + right);
                merges.Add($"{left} {right}");
            }

        var state = 7UL;
        var order = tokens.OrderBy(_ => state = state * 6364136223846793005UL + 1442695040888963407UL).ToList();
        model["vocab"] = new JsonObject(order.Select((token, id) => KeyValuePair.Create(token, (JsonNode?)JsonValue.Create(id))));
        model["merges"] = new JsonArray([.. merges.Select(merge => JsonValue.Create(merge))]);
        return root.ToJsonString();
    }
}
