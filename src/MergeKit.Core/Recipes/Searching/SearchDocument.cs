using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Reads documents with <c>search:</c>.</summary>
internal static class SearchDocument
{
    private static readonly (string Name, SearchKind Kind)[] Kinds =
    [
        ("uniform_soup", SearchKind.UniformSoup), ("greedy_soup", SearchKind.GreedySoup), ("learned_soup", SearchKind.LearnedSoup),
        ("scale", SearchKind.Scale), ("grid", SearchKind.Grid), ("random", SearchKind.Random), ("cma_es", SearchKind.CmaEs), ("nsga2", SearchKind.Nsga2),
    ];

    /// <summary>Keys that only one kind reads.</summary>
    private static readonly (string Key, SearchKind Kind)[] Special =
    [
        ("accept", SearchKind.GreedySoup), ("task", SearchKind.Scale), ("scales", SearchKind.Scale), ("control", SearchKind.Scale), ("keep", SearchKind.Scale),
    ];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("search", "a search document", Read);

    /// <summary>How a kind is spelt.</summary>
    public static string NameOf(SearchKind kind) => Kinds.First(known => known.Kind == kind).Name;

    private static SearchRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, SearchKeys.Search, problems) is not { } fields)
            return null;
        var kind = Choice(fields, "search", Kinds) ?? SearchKind.UniformSoup;
        var recipe = new SearchRecipe
        {
            File = file,
            Name = fields.Text("name"),
            Yaml = document.Text,
            Location = fields.Location,
            Kind = kind,
            Template = fields["recipe"] is { } node ? new SearchMarks(problems).Read(node) : null,
            Models = [.. fields.List("models").Select(entry => Fields.Open(entry, SearchKeys.Model, problems)).OfType<Fields>().Select(entry => ModelReader.Read(entry, "model")).OfType<ModelReference>()],
            BaseModel = ModelReader.Read(fields, "base_model"),
            Control = SearchFields.Data(fields, "control"),
            Keep = fields.Number("keep") ?? 0.95,
            AcceptNonWorse = Choice(fields, "accept", [("strict", false), ("non_worse", true)]) ?? false,
            Task = Choice(fields, "task", [("addition", ScaleTask.Addition), ("negation", ScaleTask.Negation), ("analogy", ScaleTask.Analogy)]) ?? ScaleTask.Addition,
            Scales = Scales(fields),
        };
        if (problems.Errors == before)
            CheckKind(fields, recipe);
        recipe = SearchFields.AddRunning(fields, recipe);
        return problems.Errors == before ? recipe : null;
    }

    private static void CheckKind(Fields fields, SearchRecipe recipe)
    {
        var problems = fields.Problems;
        var name = NameOf(recipe.Kind);
        var free = recipe.Kind is SearchKind.Grid or SearchKind.Random or SearchKind.CmaEs or SearchKind.Nsga2;
        foreach (var (key, wrong) in new[] { ("recipe", !free), ("models", free) })
            if (wrong && fields[key] is not null)
                problems.Error($"'{key}' has no meaning for a search of kind {name}", fields.PlaceOf(key));
            else if (!wrong && fields[key] is null)
                problems.Error($"'{key}' is missing: a search of kind {name} needs it", fields.PlaceOf("search"));
        foreach (var (key, kind) in Special)
            if (kind != recipe.Kind && fields[key] is not null)
                problems.Error($"'{key}' has no meaning for a search of kind {name}; it belongs to {NameOf(kind)}", fields.PlaceOf(key));
        var soup = recipe.Kind is SearchKind.UniformSoup or SearchKind.GreedySoup or SearchKind.LearnedSoup;
        if (soup && recipe.Models.Count == 1)
            problems.Error("a soup of one model is that model; wanted at least two", fields.PlaceOf("models"));
        var counted = free || recipe.Kind == SearchKind.LearnedSoup;
        foreach (var (key, wrong) in new[] { ("candidates", !counted), ("population", recipe.Kind is not (SearchKind.CmaEs or SearchKind.LearnedSoup or SearchKind.Nsga2)) })
            if (wrong && fields[key] is not null)
                problems.Error($"'{key}' has no meaning for a search of kind {name}{(key == "candidates" ? $": it tries {(recipe.Kind == SearchKind.Scale ? "every scale" : "what its models give")}" : "")}", fields.PlaceOf(key));
        foreach (var key in new[] { "dtype", "out_dtype" })
            if (free && fields[key] is not null)
                problems.Error($"'{key}' belongs into the 'recipe'", fields.PlaceOf(key));
        foreach (var twice in recipe.Models.GroupBy(model => model).Where(group => group.Count() > 1))
            problems.Error($"model '{twice.Key}' is listed {twice.Count()} times", twice.Last().Location);
        if (recipe.Kind == SearchKind.Scale)
            CheckScale(fields, recipe);
        if (recipe.Kind == SearchKind.Nsga2 && fields.List("tune").Count < 2)
            problems.Error("nsga2 looks for a front over several data sets; 'tune' has fewer than two", fields.PlaceOf("tune"));
    }

    private static void CheckScale(Fields fields, SearchRecipe recipe)
    {
        if (recipe.BaseModel is null)
            fields.Problems.Error("'base_model' is missing: task vectors are differences from it", fields.PlaceOf("search"));
        if (recipe.Task == ScaleTask.Analogy && recipe.Models.Count != 3)
            fields.Problems.Error($"an analogy needs three models a, b, c (a is to b as c is to the result); here are {recipe.Models.Count}", fields.PlaceOf("models"));
        if (recipe.Task == ScaleTask.Negation && recipe.Control.Count == 0)
            fields.Problems.Error("a negation needs 'control' data, or it would forget everything", fields.PlaceOf("search"));
        if (recipe.Keep is not (> 0 and <= 1))
            fields.Problems.Error($"'keep' is {recipe.Keep}; wanted a share above 0 and at most 1", fields["keep"]!.Location);
    }

    private static IReadOnlyList<double> Scales(Fields fields)
    {
        if (fields["scales"] is null)
            return [.. Enumerable.Range(0, 21).Select(i => i / 20.0)];
        var scales = fields.List("scales").Select(node => (node, value: Values.Number(node))).ToList();
        foreach (var (node, _) in scales.Where(scale => scale.value is not { } value || !double.IsFinite(value)))
            fields.Problems.Error($"a scale is {node.Describe()}; wanted a number", node.Location);
        return [.. scales.Select(scale => scale.value ?? 0).Append(0).Distinct().Order()];
    }

    private static T? Choice<T>(Fields fields, string key, IReadOnlyList<(string Name, T Value)> known)
        where T : struct
    {
        if (fields.Text(key) is not { } text)
            return null;
        if (known.Where(one => one.Name == text).ToList() is [var found])
            return found.Value;
        var names = known.Select(one => one.Name).ToList();
        fields.Problems.Error($"'{key}' is '{Quoting.Shorten(text)}'; wanted one of {string.Join(", ", names)}.{Spelling.Hint(text[..Math.Min(text.Length, 40)], names)}", fields[key]!.Location);
        return null;
    }
}
