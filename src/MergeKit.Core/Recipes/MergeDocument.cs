using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads documents with <c>merge_method:</c>.</summary>
internal static class MergeDocument
{
    private const int LongestName = 200;
    private static readonly string[] Inputs = ["models", "slices", "modules"];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("merge_method", "a merge recipe", Read);

    private static Recipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, RecipeKeys.Recipe, problems) is not { } fields)
            return null;
        var form = Form(fields, Inputs);
        var name = Name(fields);
        var method = fields.Text("merge_method");
        var recipe = new Recipe(
            file, name, method ?? "", fields["merge_method"]?.Location ?? fields.Location, ModelReader.Read(fields, "base_model"),
            Modules(fields, form), ParameterReader.Read(fields), fields.ElementType("dtype"), fields.ElementType("out_dtype"),
            TokenizerReader.Read(fields), TokenizerReader.ReadChatTemplate(fields), document.Text,
            form switch { "slices" => RecipeForm.Slices, "modules" => RecipeForm.Modules, _ => RecipeForm.Models })
        {
            Location = name is null ? fields.Location : fields["name"]!.Location,
        };
        return problems.Errors == before ? recipe : null;
    }

    /// <summary>Which one of the keys that hold the inputs is given; an error unless it is exactly one.</summary>
    private static string? Form(Fields fields, string[] keys)
    {
        var given = keys.Where(key => fields[key] is not null).ToList();
        if (given.Count == 1)
            return given[0];
        var wanted = $"exactly one of {string.Join(", ", keys.Select(key => $"'{key}'"))} must be given";
        fields.Problems.Error(
            given.Count == 0 ? $"{wanted}; there is none" : $"{wanted}; found {string.Join(" and ", given.Select(key => $"'{key}'"))}",
            given.Count == 0 ? fields.Location : fields.PlaceOf(given[^1]));
        return null;
    }

    private static IReadOnlyList<RecipeModule> Modules(Fields fields, string? form)
    {
        if (form != "modules")
            return [new RecipeModule(RecipeModule.DefaultName, Slices(fields), Parameters.Empty)];
        var entries = fields.Map("modules");
        if (fields["modules"] is YamlMapping { Entries.Count: 0 } empty)
            fields.Problems.Error("'modules' is an empty mapping; wanted at least one module, such as 'default'", empty.Location);
        var modules = new List<RecipeModule>();
        foreach (var entry in entries)
        {
            if (Fields.Open(entry.Value, RecipeKeys.Module, fields.Problems) is not { } module)
                continue;
            Form(module, ["models", "slices"]);
            modules.Add(new RecipeModule(entry.Key.Text, Slices(module), ParameterReader.Read(module)));
        }

        return modules;
    }

    private static IReadOnlyList<RecipeSlice> Slices(Fields fields)
    {
        var slices = fields.List("slices").Select(node => Slice(node, fields.Problems)).OfType<RecipeSlice>().ToList();
        if (fields["models"] is not { } models)
            return slices;
        var sources = fields.List("models").Select(node => Source(node, RecipeKeys.ModelEntry, fields.Problems)).OfType<RecipeSource>().ToList();
        return [.. slices, new RecipeSlice(sources, null, Parameters.Empty, models.Location)];
    }

    private static RecipeSlice? Slice(YamlNode node, ProblemList problems)
    {
        if (Fields.Open(node, RecipeKeys.Slice, problems) is not { } fields)
            return null;
        if (fields["residual_weight"] is { } residual)
            problems.Warning("'residual_weight' has no effect on a merge, here as in mergekit; leave it out", residual.Location);
        var sources = fields.List("sources").Select(source => Source(source, RecipeKeys.Source, problems)).OfType<RecipeSource>().ToList();
        if (sources.Find(source => source.Range is not null)?.Range is { } first)
            foreach (var source in sources.Where(source => source.Range is { } range && range.Count != first.Count))
                problems.Error(
                    $"the sources of one slice need equally many layers: '{source.Model}' has {source.Range!.Value.Count} {source.Range}, the first source {first.Count} {first}",
                    source.Location);
        return new RecipeSlice(sources, ModelReader.Read(fields, "base_model"), ParameterReader.Read(fields), fields.Location);
    }

    /// <summary>An entry of a list of models.</summary>
    public static RecipeSource? Source(YamlNode node, KeyTable table, ProblemList problems)
    {
        if (Fields.Open(node, table, problems) is not { } fields)
            return null;
        var model = ModelReader.Read(fields, "model");
        var range = table.Find("layer_range") is null ? null : Range(fields);
        var parameters = ParameterReader.Read(fields);
        if (model is null)
            return null;
        var request = table.Find("statistics") is null ? null : StatisticsRequest.Read(fields);
        return new RecipeSource(model, range, parameters, fields.Location) { Statistics = request?.Data.Count == 0 ? request.File : null, Recorded = request?.Data.Count > 0 ? request : null };
    }

    /// <summary>The value of <c>layer_range</c>.</summary>
    public static LayerRange? Range(Fields fields)
    {
        if (fields["layer_range"] is not { } node)
            return null;
        if (node is not YamlSequence { Items: [var first, var second] })
        {
            fields.Problems.Error(
                $"'layer_range' is {node.Describe()}; wanted two whole numbers [first, one past the last]",
                node.Location);
            return null;
        }

        var start = Values.Integer(first, "the start of 'layer_range'", 0, fields.Problems);
        var end = Values.Integer(second, "the end of 'layer_range'", 1, fields.Problems);
        if (start < end)
            return new LayerRange(start.Value, end.Value);
        if (start is not null && end is not null)
            fields.Problems.Error(
                $"'layer_range' is [{start}, {end}]; wanted [first, one past the last] with at least one layer between",
                node.Location);
        return null;
    }

    /// <summary>The document's name, which must do for a folder and for a model.</summary>
    public static string? Name(Fields fields)
    {
        if (fields.Text("name") is not { } name)
            return null;
        var why = name is "." or ".." ? "it stands for a folder that is there already"
            : name.Length > LongestName ? $"it is longer than {LongestName} characters"
            : name.Trim() != name ? "it begins or ends with a blank"
            : name.Any(c => char.IsControl(c) || c is '/' or '\\' or '+' or '@' or ':') ? "it must not contain any of / \\ + @ : or a control character"
            : null;
        if (why is null)
            return name;
        fields.Problems.Error($"'name' is '{Quoting.Shorten(name)}': it becomes the name of a folder and of a model, and {why}", fields["name"]!.Location);
        return null;
    }
}
