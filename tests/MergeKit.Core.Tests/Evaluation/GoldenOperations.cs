using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Operations of the golden arithmetic that call the library. Any class of the test assembly that implements this is found by itself.</summary>
internal interface IGoldenOperations
{
    IEnumerable<GoldenOperation> Operations { get; }
}

/// <summary>One operation: its name in the suite, and a function from its input to its output.</summary>
internal sealed record GoldenOperation(string Name, Func<JsonObject, object> Body)
{
    private static readonly JsonSerializerOptions Options = new() { Converters = { new DoubleConverter() } };

    /// <summary>The same on the 32-bit code path, for operations of which the suite wants it.</summary>
    public Func<JsonObject, object>? Single { get; init; }

    /// <summary>The output; of a failure of the library's own kind its cause, as <c>{"error": "snake_case_name"}</c>.</summary>
    public JsonNode? Run(JsonObject input, bool single = false)
    {
        try
        {
            return JsonSerializer.SerializeToNode((single ? Single! : Body)(input), Options);
        }
        catch (MergeKitException failure) when (Cause(failure) is { } cause)
        {
            return new JsonObject { ["error"] = cause };
        }
    }

    /// <summary>The value of the exception's property <c>Error</c>, an enumeration, in the suite's spelling.</summary>
    public static string? Cause(MergeKitException failure) => failure.GetType().GetProperty("Error")?.GetValue(failure) is Enum cause
        ? JsonNamingPolicy.SnakeCaseLower.ConvertName(cause.ToString()) : null;

    /// <summary>Infinite numbers as the suite writes them.</summary>
    private sealed class DoubleConverter : JsonConverter<double>
    {
        public override double Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) => reader.GetDouble();

        public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options)
        {
            if (double.IsFinite(value))
                writer.WriteNumberValue(value);
            else
                writer.WriteStringValue(double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");
        }
    }
}

/// <summary>All operations by name.</summary>
internal static class GoldenOperations
{
    public static IReadOnlyDictionary<string, GoldenOperation> All { get; } = typeof(GoldenOperations).Assembly.GetTypes()
        .Where(type => type.IsClass && typeof(IGoldenOperations).IsAssignableFrom(type))
        .SelectMany(type => ((IGoldenOperations)Activator.CreateInstance(type)!).Operations)
        .ToDictionary(operation => operation.Name, StringComparer.Ordinal);

    public static double[] Numbers(this JsonNode? node) => node!.AsArray().Select(value => GoldenComparer.Number(value)!.Value).ToArray();

    public static string[] Texts(this JsonNode? node) => node!.AsArray().Select(value => (string)value!).ToArray();

    public static double Number(this JsonNode? node) => GoldenComparer.Number(node)!.Value;
}
