using System.Text.Json;
using System.Text.Json.Nodes;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Compares results as the golden arithmetic says: numbers within abs + rel |want|, all else exactly; extra fields are ignored, absent ones fail.
/// Under <c>optimum</c> the tolerance is <c>optimum_abs</c> where the case has one, under <c>scale</c> it is <c>scale_rel</c>.</summary>
internal sealed class GoldenComparer(JsonNode tolerance)
{
    private readonly double _absolute = (double)tolerance["abs"]!;
    private readonly double _relative = (double)tolerance["rel"]!;
    private readonly List<string> _differences = [];

    public IReadOnlyList<string> Differences(JsonNode? want, JsonNode? got)
    {
        Compare("expect", want, got);
        return _differences;
    }

    /// <summary>A number, also when it is written as "inf", "-inf" or "nan".</summary>
    public static double? Number(JsonNode? node) => node?.GetValueKind() switch
    {
        JsonValueKind.Number => node.GetValue<JsonElement>().GetDouble(),
        JsonValueKind.String when (string)node! == "inf" => double.PositiveInfinity,
        JsonValueKind.String when (string)node! == "-inf" => double.NegativeInfinity,
        JsonValueKind.String when (string)node! == "nan" => double.NaN,
        _ => null,
    };

    private void Compare(string path, JsonNode? want, JsonNode? got)
    {
        if (want is JsonObject wanted && got is JsonObject given)
        {
            foreach (var (key, value) in wanted)
                if (given.ContainsKey(key))
                    Compare($"{path}.{key}", value, given[key]);
                else
                    _differences.Add($"{path}.{key} is absent");
        }
        else if (want is JsonArray list && got is JsonArray other)
        {
            if (list.Count != other.Count)
                _differences.Add($"{path}: {other.Count} entries, expected {list.Count}");
            else
                for (var i = 0; i < list.Count; i++)
                    Compare($"{path}[{i}]", list[i], other[i]);
        }
        else if (!Same(path, want, got))
        {
            _differences.Add($"{path}: got {got?.ToJsonString() ?? "null"}, expected {want?.ToJsonString() ?? "null"}");
        }
    }

    private bool Same(string path, JsonNode? want, JsonNode? got)
    {
        if (Number(want) is not { } expected || Number(got) is not { } value)
            return JsonNode.DeepEquals(want, got);
        if (!double.IsFinite(expected) || !double.IsFinite(value))
            return expected.Equals(value);
        if (path.StartsWith("expect.optimum", StringComparison.Ordinal) && tolerance["optimum_abs"] is { } ofOptimum)
            return Math.Abs(value - expected) <= (double)ofOptimum;
        if (path.StartsWith("expect.scale", StringComparison.Ordinal) && tolerance["scale_rel"] is { } ofScale)
            return Math.Abs(value - expected) <= (double)ofScale * Math.Abs(expected);
        return Math.Abs(value - expected) <= _absolute + (_relative * Math.Abs(expected));
    }
}
