using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Reads what both kinds of search documents have.</summary>
internal static class SearchFields
{
    private static readonly string[] Metrics = ["bits_per_byte", "acc", "acc_norm", "acc_bytes", "prob", "brier", "exact_match"];

    /// <summary>Adds data, numbers and types.</summary>
    public static SearchRecipe AddRunning(Fields fields, SearchRecipe recipe)
    {
        var tune = Data(fields, "tune");
        return recipe with
        {
            Tune = tune.Count > 0 ? tune : recipe.Tune,
            Test = TestData(fields),
            Candidates = fields.Integer("candidates", 1) ?? recipe.Candidates,
            Population = fields.Integer("population", 2),
            Seed = (ulong)(fields.Integer("seed", 0) ?? 0),
            Racing = fields.Boolean("racing") ?? true,
            DType = fields.Declares("dtype") ? fields.ElementType("dtype") : null,
            OutDType = fields.ElementType("out_dtype"),
        };
    }

    /// <summary>The data sets of a key.</summary>
    public static IReadOnlyList<SearchData> Data(Fields fields, string key)
    {
        var data = fields.List(key).Select(node => Fields.Open(node, SearchKeys.Data, fields.Problems)).OfType<Fields>()
            .Select(One).OfType<SearchData>().ToList();
        foreach (var twice in data.Where(one => one.Name is not null).GroupBy(one => one.Name).Where(group => group.Count() > 1))
            fields.Problems.Error($"two data sets of '{key}' have the name '{twice.Key}'", twice.Last().Location);
        return data;
    }

    /// <summary>The test data, which are reported with every metric and in full or up to a limit.</summary>
    private static IReadOnlyList<SearchData> TestData(Fields fields)
    {
        foreach (var node in fields.List("test").OfType<YamlMapping>())
            foreach (var (key, why) in new[] { ("tokens", "use 'limit'"), ("metric", "every metric is reported, and models are compared by the metric of 'tune'"), ("weight", "means over the test data are plain ones") })
                if (node.Find(key) is { } found)
                    fields.Problems.Error($"'{key}' has no meaning for test data: {why}", found.Key.Location);
        return Data(fields, "test");
    }

    /// <summary>The metric under a key, or null.</summary>
    public static string? Metric(Fields fields, string text, string key)
    {
        if (Metrics.Contains(text))
            return text;
        fields.Problems.Error($"'{key}' is '{Quoting.Shorten(text)}'; wanted one of {string.Join(", ", Metrics)}.{Diagnostics.Spelling.Hint(text[..Math.Min(text.Length, 40)], Metrics)}", fields[key]!.Location);
        return null;
    }

    private static SearchData? One(Fields fields)
    {
        var weight = fields.Number("weight") ?? 1;
        if (weight <= 0)
            fields.Problems.Error($"'weight' is {weight}; wanted a number above 0", fields["weight"]!.Location);
        return fields.Text("data") is { } path
            ? new SearchData(path, fields.Text("name"), weight, fields.Text("metric") is { } metric ? Metric(fields, metric, "metric") : null,
                fields.Integer("limit", 1), fields.Integer("tokens", 1), fields.Location)
            : null;
    }
}
