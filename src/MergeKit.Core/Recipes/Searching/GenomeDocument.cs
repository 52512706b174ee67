using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Reads documents with <c>genome:</c>, the configuration of mergekit-evolve.</summary>
internal static class GenomeDocument
{
    private static readonly string[] Methods = ["linear", "task_arithmetic", "ties", "dare_ties", "slerp"];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("genome", "an evolution document", Read);

    private static SearchRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, SearchKeys.Evolution, problems) is not { } fields)
            return null;
        if (fields["genome"] is not { } node || Fields.Open(node, SearchKeys.Genome, problems) is not { } genome)
            return null;
        var recipe = new SearchRecipe
        {
            File = file,
            Name = fields.Text("name"),
            Yaml = document.Text,
            Location = fields.Location,
            Kind = SearchKind.CmaEs,
            Genome = Genome(genome, fields.Boolean("random_init") ?? false),
            Models = [.. genome.List("models").Select(model => ModelReader.Read(model, "a model of the genome", problems)).OfType<ModelReference>()],
            BaseModel = ModelReader.Read(genome, "base_model"),
            Tune = Tasks(fields),
        };
        if (fields["tasks"] is null == fields["tune"] is null)
            problems.Error("exactly one of 'tasks' and 'tune' must be given: what candidates are scored on", fields.Location);
        if (fields.Integer("num_fewshot", 0) is > 0)
            problems.Error("'num_fewshot' above 0 needs lm-eval's task definitions; files hold finished prompts", fields["num_fewshot"]!.Location);
        if (recipe.Genome is { Method: "slerp" } && recipe.Models.Count < 2)
            problems.Error("slerp needs at least two models", genome.PlaceOf("models"));
        if (recipe.Genome is { Method: not ("linear" or "slerp") } && recipe.BaseModel is null)
            problems.Error($"'base_model' is missing: {recipe.Genome.Method} works on differences from it", genome.Location);
        recipe = SearchFields.AddRunning(fields, recipe);
        return problems.Errors == before ? recipe : null;
    }

    private static GenomeSpec Genome(Fields fields, bool random)
    {
        var method = fields.Text("merge_method") ?? "linear";
        if (!Methods.Contains(method))
            fields.Problems.Error($"'merge_method' is '{Quoting.Shorten(method)}'; a genome has one of {string.Join(", ", Methods)}.{Spelling.Hint(method[..Math.Min(method.Length, 40)], Methods)}", fields["merge_method"]!.Location);
        var filters = fields.List("filters").Select(node => Values.Text(node, "a filter", fields.Problems)).OfType<string>().ToList();
        var smooth = fields.Boolean("smooth") ?? false;
        foreach (var key in new[] { "smooth", "filters" })
            if (method == "slerp" && (key == "smooth" ? smooth : filters.Count > 0))
                fields.Problems.Error($"'{key}' does not go with slerp", fields.PlaceOf(key));
        return new GenomeSpec(
            method, fields.Integer("layer_granularity", 0) ?? 0, fields.Boolean("normalize"), fields.Boolean("allow_negative_weights") ?? false, filters, smooth, random, fields.Text("tokenizer_source"));
    }

    private static List<SearchData> Tasks(Fields fields)
    {
        var limit = fields.Integer("limit", 1);
        var tasks = new List<SearchData>();
        foreach (var node in fields.List("tasks"))
        {
            if (node is YamlScalar scalar)
            {
                if (Values.Text(scalar, "a task", fields.Problems) is { } path)
                    tasks.Add(new SearchData(path, null, 1, null, limit, null, node.Location));
            }
            else if (Fields.Open(node, SearchKeys.Task, fields.Problems) is { } task && task.Text("name") is { } name)
            {
                var metric = task.Text("metric") is { } text ? SearchFields.Metric(task, text.Split(',')[0], "metric") : null;
                var weight = task.Number("weight") ?? 1;
                if (weight <= 0)
                    task.Problems.Error($"'weight' is {weight}; wanted a number above 0", task["weight"]!.Location);
                tasks.Add(new SearchData(name, null, weight, metric, limit, null, node.Location));
            }
        }

        return tasks;
    }
}
