using System.Text.Json.Nodes;

namespace MergeKit.Core.Recipes;

/// <summary>The part of the recipes' schema that depends on the merge method: which parameters may stand where.</summary>
internal static class MethodSchema
{
    /// <summary>A curve over the layers.</summary>
    private const string NumberList = """{"type":"array","minItems":1,"items":{"type":"number"}}""";

    /// <summary>The name of the definition of a method's parameters.</summary>
    public static string Id(MethodDescription method, bool atModel) => $"{method.Name}.{(atModel ? "modelParameters" : "parameters")}";

    /// <summary>The parameters that may stand at a model's own level, or at any outer one.</summary>
    public static JsonObject Parameters(MethodDescription method, bool atModel)
    {
        var properties = new JsonObject();
        foreach (var parameter in method.Parameters.Where(parameter => !atModel || parameter.Scope == ParameterScope.PerModel))
            properties[parameter.Name] = Parameter(parameter);
        return new JsonObject { ["type"] = new JsonArray("object", "null"), ["properties"] = properties, ["additionalProperties"] = false };
    }

    /// <summary>If the recipe has this method, then these parameters at each level.</summary>
    public static JsonNode Conditional(MethodDescription method)
    {
        JsonObject Level(string list, JsonObject item) =>
            new() { [list] = new JsonObject { ["items"] = new JsonObject { ["properties"] = item } } };
        JsonObject Outer() => new() { ["parameters"] = RecipeSchema.Reference(Id(method, atModel: false)) };
        JsonObject Model() => new() { ["parameters"] = RecipeSchema.Reference(Id(method, atModel: true)) };
        JsonObject Inputs() => Join(Outer(), Level("models", Model()), Level("slices", Join(Outer(), Level("sources", Model()))));
        var module = new JsonObject { ["modules"] = new JsonObject { ["additionalProperties"] = new JsonObject { ["properties"] = Inputs() } } };
        return new JsonObject
        {
            ["if"] = new JsonObject
            {
                ["properties"] = new JsonObject { ["merge_method"] = new JsonObject { ["const"] = method.Name } },
                ["required"] = new JsonArray("merge_method"),
            },
            ["then"] = new JsonObject { ["properties"] = Join(Inputs(), module) },
        };
    }

    /// <summary>A parameter's value while nothing is known of the method.</summary>
    public static JsonObject AnyValue()
    {
        var condition = RecipeSchema.Reference(RecipeKeys.Condition.Id);
        var list = new JsonObject { ["type"] = "array", ["minItems"] = 1, ["items"] = condition.DeepClone() };
        return new JsonObject { ["anyOf"] = new JsonArray(RecipeSchema.Parse("""{"type":["number","boolean"]}"""), JsonNode.Parse(NumberList), condition, list) };
    }

    /// <summary>A value that is plain, a curve where there is one, or a list of conditions on such values.</summary>
    private static JsonObject ValueOf(string plain, string? curve)
    {
        JsonArray Direct() => curve is null ? new(JsonNode.Parse(plain)) : new(JsonNode.Parse(plain), JsonNode.Parse(curve));
        JsonObject Condition() => new()
        {
            ["type"] = "object",
            ["properties"] = new JsonObject
            {
                ["filter"] = new JsonObject { ["type"] = "string", ["description"] = RecipeKeys.Condition.Find("filter")!.Summary },
                ["value"] = new JsonObject { ["anyOf"] = Direct(), ["description"] = RecipeKeys.Condition.Find("value")!.Summary },
            },
            ["required"] = new JsonArray("value"),
            ["additionalProperties"] = false,
        };
        var options = Direct();
        options.Add((JsonNode)Condition());
        options.Add((JsonNode)new JsonObject { ["type"] = "array", ["minItems"] = 1, ["items"] = Condition() });
        return new JsonObject { ["anyOf"] = options };
    }

    private static JsonObject Parameter(ParameterDescription parameter)
    {
        var schema = parameter.Type switch
        {
            ParameterTypes.Boolean => ValueOf("""{"enum":[true,false,0,1]}""", null),
            ParameterTypes.Integer => ValueOf("""{"type":"integer"}""", null),
            _ => ValueOf("""{"type":"number"}""", NumberList),
        };
        schema["description"] = parameter.Summary;
        if (parameter.Default is not null)
            schema["default"] = parameter.Default is bool flag ? JsonValue.Create(flag) : JsonValue.Create(parameter.DefaultNumber!.Value);
        return schema;
    }

    private static JsonObject Join(params JsonObject[] parts)
    {
        var joined = new JsonObject();
        foreach (var (name, value) in parts.SelectMany(part => part).ToList())
            joined[name] = value!.DeepClone();
        return joined;
    }
}
