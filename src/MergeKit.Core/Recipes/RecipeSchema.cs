using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes.Searching;

namespace MergeKit.Core.Recipes;

/// <summary>The JSON Schema (draft 2020-12) of recipes, by which editors complete and check them. It is made from <see cref="RecipeKeys"/>
/// and the methods' own descriptions, so it cannot disagree with the reader.</summary>
public static class RecipeSchema
{
    /// <summary>The kinds of documents by the key that marks them; a document with none of these keys is a merge.</summary>
    private static readonly (string Key, KeyTable Table)[] Kinds =
    [
        ("collapse", CollapseDocument.Table), ("experts", MoeDocument.Table), ("ensemble", EnsembleKeys.Document), ("search", SearchKeys.Search),
        ("genome", SearchKeys.Evolution), ("cascade", CascadeDocument.Table), ("stages", StagesDocument.Table),
    ];

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The schema of one document of a recipe file.</summary>
    /// <param name="methods">All merge methods.</param>
    /// <returns>Indented JSON; the same text for the same methods.</returns>
    public static string ToJson(IEnumerable<MethodDescription> methods)
    {
        var ordered = methods.OrderBy(method => method.Name, StringComparer.Ordinal).ToList();
        var definitions = new JsonObject();
        IEnumerable<KeyTable>[] tables =
        [
            RecipeKeys.All, EvaluateDocument.Tables, MoeDocument.Tables, CollapseDocument.Tables, EnsembleKeys.Tables, [LearnReader.Table],
            SearchKeys.Tables, CascadeDocument.Tables, StagesDocument.Tables,
        ];
        foreach (var table in tables.SelectMany(all => all))
            definitions[table.Id] = TableSchema(table, ordered);
        definitions["parameters"] = Parse("""{"type":["object","null"],"additionalProperties":{"$ref":"#/$defs/parameterValue"}}""");
        definitions["parameterValue"] = MethodSchema.AnyValue();
        foreach (var method in ordered)
        {
            definitions[MethodSchema.Id(method, atModel: false)] = MethodSchema.Parameters(method, atModel: false);
            definitions[MethodSchema.Id(method, atModel: true)] = MethodSchema.Parameters(method, atModel: true);
        }

        var recipe = definitions[RecipeKeys.Recipe.Id]!.AsObject();
        recipe["oneOf"] = OneOf("models", "slices", "modules");
        recipe["not"] = Parse("""{"required":["tokenizer","tokenizer_source"]}""");
        recipe["allOf"] = new JsonArray([.. ordered.Select(MethodSchema.Conditional)]);
        definitions[RecipeKeys.Module.Id]!.AsObject()["oneOf"] = OneOf("models", "slices");
        var schema = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "MergeKit recipe",
            ["description"] = "How models are merged into one or combined while they run, or what the result is measured on.",
            ["if"] = Parse("""{"required":["evaluate"]}"""),
            ["then"] = Reference(EvaluateDocument.Table.Id),
            ["else"] = Kinds.Reverse().Aggregate(Reference(RecipeKeys.Recipe.Id), (rest, kind) => Otherwise(kind.Key, kind.Table, rest)),
            ["$defs"] = definitions,
        };
        return schema.ToJsonString(Indented) + "\n";
    }

    internal static JsonObject Parse(string json) => JsonNode.Parse(json)!.AsObject();

    internal static JsonObject Reference(string id) => new() { ["$ref"] = $"#/$defs/{id}" };

    private static JsonObject Otherwise(string key, KeyTable table, JsonObject rest) => new()
    {
        ["if"] = new JsonObject { ["required"] = new JsonArray(key) },
        ["then"] = Reference(table.Id),
        ["else"] = rest,
    };

    private static JsonArray OneOf(params string[] keys) =>
        new([.. keys.Select(key => new JsonObject { ["required"] = new JsonArray(key) })]);

    private static JsonObject TableSchema(KeyTable table, IReadOnlyList<MethodDescription> methods)
    {
        var properties = new JsonObject();
        foreach (var key in table.Keys)
        {
            var value = KeySchema(key, methods);
            value["description"] = key.Summary;
            properties[key.Name] = value;
        }

        var schema = new JsonObject { ["type"] = "object", ["properties"] = properties, ["additionalProperties"] = false };
        string[] required = [.. table.Keys.Where(key => key.Required).Select(key => key.Name)];
        if (required.Length > 0)
            schema["required"] = new JsonArray([.. required.Select(name => JsonValue.Create(name))]);
        return schema;
    }

    private static JsonObject KeySchema(RecipeKey key, IReadOnlyList<MethodDescription> methods) => key.Type switch
    {
        KeyType.Text when key.Choices is { } choices => new() { ["enum"] = new JsonArray([.. choices.Select(choice => JsonValue.Create(choice))]) },
        KeyType.Text => Parse("""{"type":"string","minLength":1}"""),
        KeyType.Texts => Parse("""{"type":"array","items":{"type":"string"}}"""),
        KeyType.Method => methods.Count == 0
            ? Parse("""{"type":"string"}""")
            : new() { ["oneOf"] = new JsonArray([.. methods.Select(method => new JsonObject { ["const"] = method.Name, ["description"] = method.Summary })]) },
        KeyType.DType => new() { ["enum"] = new JsonArray([.. DTypes.TorchNames.Select(name => JsonValue.Create(name))]) },
        KeyType.Boolean => Parse("""{"type":"boolean"}"""),
        KeyType.Number => Parse("""{"type":"number"}"""),
        KeyType.Numbers => Parse("""{"type":"array","minItems":1,"items":{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}}"""),
        KeyType.Index => Parse("""{"type":"integer","minimum":0}"""),
        KeyType.Count => Parse("""{"type":"integer","minimum":1}"""),
        KeyType.LayerRange => Parse("""{"type":"array","items":{"type":"integer","minimum":0},"minItems":2,"maxItems":2}"""),
        KeyType.Model or KeyType.TokenizerSource => TextOr(RecipeKeys.Model),
        KeyType.ModelPath => TextOr(RecipeKeys.ModelPath),
        KeyType.TokenSource => TextOr(RecipeKeys.TokenSource),
        KeyType.TextOrMapping => TextOr(key.Table!),
        KeyType.TextOrTexts => Parse("""{"anyOf":[{"type":"string","minLength":1},{"type":"array","items":{"type":"string","minLength":1},"minItems":1}]}"""),
        KeyType.ChatTemplate => new()
        {
            ["anyOf"] = new JsonArray(
                new JsonObject { ["enum"] = new JsonArray([.. ChatTemplateSpec.KnownNames.Prepend("auto").Select(name => JsonValue.Create(name))]) },
                new JsonObject { ["type"] = "string", ["minLength"] = ChatTemplateSpec.ShortestTemplate, ["pattern"] = "[{]" }),
        },
        KeyType.NumberRange => Parse("""{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2}"""),
        KeyType.NumberList => Parse("""{"type":"array","items":{"type":"number"},"minItems":1}"""),
        KeyType.TextList => Parse("""{"type":"array","items":{"type":"string"},"minItems":1}"""),
        KeyType.ModelList => new() { ["type"] = "array", ["minItems"] = 1, ["items"] = TextOr(RecipeKeys.Model) },
        KeyType.TaskList => new() { ["type"] = "array", ["minItems"] = 1, ["items"] = TextOr(key.Table!) },
        KeyType.Template => Parse("""{"type":"object","required":["merge_method"]}"""),
        KeyType.Parameters => Reference("parameters"),
        KeyType.ParameterValue => Reference("parameterValue"),
        KeyType.Mapping => Reference(key.Table!.Id),
        KeyType.List => new() { ["type"] = "array", ["minItems"] = 1, ["items"] = Reference(key.Table!.Id) },
        KeyType.Map => new() { ["type"] = "object", ["minProperties"] = 1, ["additionalProperties"] = Reference(key.Table!.Id) },
        _ => throw new InvalidOperationException($"the key type {key.Type} has no schema"),
    };

    private static JsonObject TextOr(KeyTable table) =>
        new() { ["anyOf"] = new JsonArray(Parse("""{"type":"string","minLength":1}"""), Reference(table.Id)) };
}
