using System.Text.Json;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>What a case of one randomly trimmed model is built with.</summary>
internal sealed record StatisticsRule(double Weight, bool Rescale);

/// <summary>What one tensor of a randomly trimmed merge must look like.</summary>
internal sealed record TensorStatistics(
    long Elements, double KeptMean, double KeptSd, double? OutDeltaL1, (double Mean, double Sd)? Low, (double Mean, double Sd)? High)
{
    public static Dictionary<string, TensorStatistics> ReadAll(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        return json.RootElement.EnumerateObject().ToDictionary(entry => entry.Name, entry => Read(entry.Value), StringComparer.Ordinal);
    }

    private static TensorStatistics Read(JsonElement json)
    {
        double? Find(string key) => json.TryGetProperty(key, out var value) ? value.GetDouble() : null;
        (double, double)? Half(string half) => Find($"kept_mean_{half}_half") is { } mean ? (mean, Find($"kept_sd_{half}_half") ?? 0) : null;
        return new TensorStatistics(
            json.GetProperty("elements").GetInt64(), Find("kept_mean") ?? 0, Find("kept_sd") ?? 0, Find("out_delta_l1"), Half("low"), Half("high"));
    }
}

/// <summary>Checks a random method by what every random stream must give: how many deltas are kept, where, and by what factor.</summary>
internal static class StatisticsCheck
{
    private const double L1Tolerance = 1e-3;

    /// <summary>One tensor: <paramref name="output"/> must be the base plus a trimmed, weighted and perhaps rescaled delta.</summary>
    public static void Compare(
        LoadedTensor baseTensor, LoadedTensor fineTuned, LoadedTensor output, TensorStatistics wanted, StatisticsRule rule, List<string> findings)
    {
        var name = output.Name;
        var (b, f, o) = (baseTensor.Values(), fineTuned.Values(), output.Values());
        if (b.Length != wanted.Elements || o.Length != wanted.Elements || f.Length != wanted.Elements)
        {
            findings.Add($"tensor '{name}' has {o.Length} elements, {wanted.Elements} are wanted");
            return;
        }

        if (baseTensor.DType != output.DType || fineTuned.DType != output.DType)
        {
            findings.Add($"tensor '{name}' has type {output.DType}; statistics need the inputs' own type, {baseTensor.DType}");
            return;
        }

        var delta = f.Zip(b, (tuned, start) => tuned - start).ToArray();
        var kept = o.Zip(b, (result, start) => result != start).ToArray();
        var stray = Enumerable.Range(0, b.Length).FirstOrDefault(i => kept[i] && delta[i] == 0, -1);
        if (stray >= 0)
            findings.Add($"tensor '{name}' element {stray} is {o[stray]:R}: it has no delta and must equal the base's {b[stray]:R}");
        CheckCount(name, "", kept.Count(isKept => isKept), (wanted.KeptMean, wanted.KeptSd), findings);
        CheckHalves(name, output.Shape, delta, kept, wanted, findings);
        if (stray < 0 && kept.Contains(true))
            CheckFactor(output, b, delta, o, kept, rule, findings);
        var moved = o.Zip(b, (result, start) => Math.Abs(result - start)).Sum();
        if (rule.Rescale && wanted.OutDeltaL1 is { } l1 && !(Math.Abs(moved - l1) <= L1Tolerance * l1))
            findings.Add($"tensor '{name}': the L1 norm of output - base is {moved:R}, {l1:R} is wanted");
    }

    private static void CheckCount(string name, string where, int count, (double Mean, double Sd) wanted, List<string> findings)
    {
        if (!(Math.Abs(count - wanted.Mean) <= (5 * wanted.Sd) + 2))
            findings.Add($"tensor '{name}' keeps {count} deltas{where}, {wanted.Mean} +- {wanted.Sd} are wanted");
    }

    /// <summary>Halves by the rank of |delta| within each row, ascending, equal magnitudes in index order.</summary>
    private static void CheckHalves(string name, long[] shape, double[] delta, bool[] kept, TensorStatistics wanted, List<string> findings)
    {
        if (wanted.Low is not { } low || wanted.High is not { } high)
            return;
        var row = (int)(shape.Length == 0 ? 1 : shape[^1]);
        var (inLow, inHigh) = (0, 0);
        for (var start = 0; start < delta.Length; start += row)
        {
            var ranked = Enumerable.Range(start, row).OrderBy(i => Math.Abs(delta[i])).ToList();
            inLow += ranked.Take(row / 2).Count(i => kept[i]);
            inHigh += ranked.Skip(row / 2).Count(i => kept[i]);
        }

        CheckCount(name, " in the lower half of magnitudes", inLow, low, findings);
        CheckCount(name, " in the upper half of magnitudes", inHigh, high, findings);
    }

    /// <summary>All kept values are the same multiple of weight x delta (1 without rescale), up to the rounding of the output type.</summary>
    private static void CheckFactor(
        LoadedTensor output, double[] start, double[] delta, double[] result, bool[] kept, StatisticsRule rule, List<string> findings)
    {
        var indices = Enumerable.Range(0, delta.Length).Where(i => kept[i]).ToList();
        var factor = rule.Rescale
            ? indices.Sum(i => Math.Abs(result[i] - start[i])) / indices.Sum(i => Math.Abs(rule.Weight * delta[i]))
            : 1;
        foreach (var i in indices)
        {
            var wanted = factor * rule.Weight * delta[i];
            var slack = (2 * ElementDecoder.Spacing(output.DType, Math.Max(Math.Abs(result[i]), Math.Abs(start[i])))) + (1e-4 * Math.Abs(wanted));
            if (Math.Abs(result[i] - start[i] - wanted) <= slack)
                continue;
            findings.Add($"tensor '{output.Name}' element {i} moved by {result[i] - start[i]:R}; {factor:R} x weight x delta = {wanted:R} is wanted");
            return;
        }
    }
}
