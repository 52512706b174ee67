using System.Collections;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating;

/// <summary>Turns JSON and plain .NET values into the values that templates compute with.</summary>
internal static class TemplateValue
{
    /// <summary>A copy in the template's own types. Numbers without fraction and exponent are integers of any size.</summary>
    public static object? From(object? value)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        return value switch
        {
            null or bool or string or long or double => value,
            JsonElement element => FromJson(element),
            JsonNode node => FromJson(JsonSerializer.SerializeToElement(node)),
            int or short or byte or uint or sbyte or ushort => Convert.ToInt64(value, CultureInfo.InvariantCulture),
            BigInteger number => PythonNumber.Normal(number),
            float number => (double)number,
            decimal number => (double)number,
            IEnumerable<KeyValuePair<string, object?>> pairs => new PythonDict(pairs.Select(pair => KeyValuePair.Create((object?)pair.Key, From(pair.Value)))),
            IEnumerable<KeyValuePair<string, string>> pairs => new PythonDict(pairs.Select(pair => KeyValuePair.Create((object?)pair.Key, (object?)pair.Value))),
            IEnumerable items => items.Cast<object?>().Select(From).ToList(),
            _ => throw new ArgumentException($"a value of type {value.GetType()} cannot be used in a template", nameof(value)),
        };
    }

    private static object? FromJson(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => new PythonDict(element.EnumerateObject().Select(pair => KeyValuePair.Create((object?)pair.Name, FromJson(pair.Value)))),
        JsonValueKind.Array => element.EnumerateArray().Select(FromJson).ToList(),
        JsonValueKind.String => element.GetString(),
        JsonValueKind.Number => Number(element.GetRawText()),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    private static object Number(string text)
    {
        if (text.AsSpan().IndexOfAny('.', 'e', 'E') >= 0)
            return double.Parse(text, CultureInfo.InvariantCulture);
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number
            : PythonNumber.ParseInteger(text) ?? double.Parse(text, CultureInfo.InvariantCulture);
    }
}
