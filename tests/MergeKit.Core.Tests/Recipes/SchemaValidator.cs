using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>As much of JSON Schema 2020-12 as the recipes' schema uses; any other keyword is an error, so that nothing in the schema goes untested.</summary>
internal sealed class SchemaValidator(JsonObject root)
{
    private static readonly string[] Annotations = ["$schema", "$defs", "title", "description", "default"];

    /// <summary>Whether a value is valid under the whole schema.</summary>
    public bool IsValid(JsonNode? value) => IsValid(root, value);

    private bool IsValid(JsonNode schema, JsonNode? value) =>
        schema is JsonValue flag ? flag.GetValue<bool>() : schema.AsObject().All(keyword => Holds(schema.AsObject(), keyword.Key, keyword.Value!, value));

    private bool Holds(JsonObject schema, string keyword, JsonNode rule, JsonNode? value) => keyword switch
    {
        _ when Annotations.Contains(keyword) => true,
        "$ref" => IsValid(Definition(rule.GetValue<string>()), value),
        "type" => rule is JsonArray types ? types.Any(type => HasType(type!.GetValue<string>(), value)) : HasType(rule.GetValue<string>(), value),
        "enum" => rule.AsArray().Any(option => JsonNode.DeepEquals(option, value)),
        "const" => JsonNode.DeepEquals(rule, value),
        "anyOf" => rule.AsArray().Any(option => IsValid(option!, value)),
        "allOf" => rule.AsArray().All(option => IsValid(option!, value)),
        "oneOf" => rule.AsArray().Count(option => IsValid(option!, value)) == 1,
        "not" => !IsValid(rule, value),
        "if" => IsValid(rule, value) ? IsValid(schema["then"]!, value) : schema["else"] is not { } otherwise || IsValid(otherwise, value),
        "then" or "else" => true,
        "properties" => value is not JsonObject all || all.All(entry => rule[entry.Key] is not { } property || IsValid(property, entry.Value)),
        "additionalProperties" => value is not JsonObject all || all.All(entry => schema["properties"]?[entry.Key] is not null || IsValid(rule, entry.Value)),
        "required" => value is not JsonObject all || rule.AsArray().All(name => all.ContainsKey(name!.GetValue<string>())),
        "items" => value is not JsonArray list || list.All(item => IsValid(rule, item)),
        "minItems" => value is not JsonArray list || list.Count >= rule.GetValue<int>(),
        "maxItems" => value is not JsonArray list || list.Count <= rule.GetValue<int>(),
        "minProperties" => value is not JsonObject all || all.Count >= rule.GetValue<int>(),
        "minLength" => !HasType("string", value) || value!.GetValue<string>().Length >= rule.GetValue<int>(),
        "pattern" => !HasType("string", value) || Regex.IsMatch(value!.GetValue<string>(), rule.GetValue<string>()),
        "minimum" => !HasType("number", value) || Number(value!) >= rule.GetValue<double>(),
        _ => throw new NotSupportedException($"the schema uses the keyword {keyword}, which this validator does not know"),
    };

    private JsonNode Definition(string pointer) =>
        pointer.TrimStart('#', '/').Split('/').Aggregate((JsonNode)root, (node, step) => node[step] ?? throw new KeyNotFoundException(pointer));

    private static double Number(JsonNode value) => double.Parse(value.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture);

    private static bool HasType(string type, JsonNode? value) => (type, value?.GetValueKind()) switch
    {
        ("null", null) or ("object", System.Text.Json.JsonValueKind.Object) or ("array", System.Text.Json.JsonValueKind.Array) => true,
        ("string", System.Text.Json.JsonValueKind.String) or ("number", System.Text.Json.JsonValueKind.Number) => true,
        ("boolean", System.Text.Json.JsonValueKind.True or System.Text.Json.JsonValueKind.False) => true,
        ("integer", System.Text.Json.JsonValueKind.Number) => Math.Floor(Number(value!)) == Number(value!),
        _ => false,
    };
}
