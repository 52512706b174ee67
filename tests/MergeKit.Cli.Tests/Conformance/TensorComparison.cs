using System.Text.RegularExpressions;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Compares two sets of tensors: names, shapes and types always, values bitwise or within a tolerance.
/// What differs is added to the findings; no finding means equal.</summary>
internal static class TensorComparison
{
    /// <summary>Same names, shapes and types. Returns the pairs whose values can be compared.</summary>
    public static List<(LoadedTensor Expected, LoadedTensor Actual)> Pair(
        IReadOnlyDictionary<string, LoadedTensor> expected, IReadOnlyDictionary<string, LoadedTensor> actual, List<string> findings)
    {
        var pairs = new List<(LoadedTensor, LoadedTensor)>();
        foreach (var name in expected.Keys.Except(actual.Keys, StringComparer.Ordinal))
            findings.Add($"tensor '{name}' is missing");
        foreach (var name in actual.Keys.Except(expected.Keys, StringComparer.Ordinal))
            findings.Add($"tensor '{name}' should not be there");
        foreach (var (name, want) in expected)
        {
            if (!actual.TryGetValue(name, out var got))
                continue;
            if (got.DType != want.DType)
                findings.Add($"tensor '{name}' has type {got.DType}, {want.DType} is wanted");
            if (!got.Shape.SequenceEqual(want.Shape))
                findings.Add($"tensor '{name}' has shape {got.ShapeText}, {want.ShapeText} is wanted");
            else if (got.DType == want.DType)
                pairs.Add((want, got));
        }

        return pairs;
    }

    /// <summary>Leaves out the tensors whose names a pattern finds.</summary>
    public static List<(LoadedTensor Expected, LoadedTensor Actual)> Without(
        this List<(LoadedTensor Expected, LoadedTensor Actual)> pairs, string? pattern) =>
        pattern is null ? pairs : [.. pairs.Where(pair => !Regex.IsMatch(pair.Expected.Name, pattern))];

    /// <summary>Keeps the tensors whose names a pattern finds.</summary>
    public static List<(LoadedTensor Expected, LoadedTensor Actual)> Only(
        this List<(LoadedTensor Expected, LoadedTensor Actual)> pairs, string pattern) =>
        [.. pairs.Where(pair => Regex.IsMatch(pair.Expected.Name, pattern))];

    /// <summary>The same bytes.</summary>
    public static void Bitwise(IEnumerable<(LoadedTensor Expected, LoadedTensor Actual)> pairs, List<string> findings)
    {
        foreach (var (want, got) in pairs)
            if (!want.Bytes.AsSpan().SequenceEqual(got.Bytes))
                findings.Add($"tensor '{want.Name}' differs from byte {want.Bytes.AsSpan().CommonPrefixLength(got.Bytes)} on");
    }

    /// <summary>At most the tolerated fraction of all elements has <c>|y - x| &gt; atol + rtol |x|</c>. NaN agrees with NaN only,
    /// an infinity with itself only.</summary>
    public static void Close(IEnumerable<(LoadedTensor Expected, LoadedTensor Actual)> pairs, Tolerance tolerance, List<string> findings)
    {
        var (elements, outliers, worst, where) = (0L, 0L, 0.0, "");
        foreach (var (want, got) in pairs)
        {
            var (x, y) = (want.Values(), got.Values());
            elements += x.Length;
            for (var i = 0; i < x.Length; i++)
            {
                if (Agrees(x[i], y[i], tolerance))
                    continue;
                outliers++;
                var size = double.IsNaN(x[i] - y[i]) ? double.PositiveInfinity : Math.Abs(x[i] - y[i]);
                if (size >= worst)
                    (worst, where) = (size, $"'{want.Name}' element {i}: {y[i]:R} where {x[i]:R} is wanted");
            }
        }

        if (outliers > tolerance.MaxOutlierFraction * elements)
            findings.Add($"{outliers} of {elements} elements are outside atol {tolerance.Absolute:R} + rtol {tolerance.Relative:R} "
                + $"(tolerated fraction {tolerance.MaxOutlierFraction:R}); the worst: {where}");
    }

    private static bool Agrees(double x, double y, Tolerance tolerance) =>
        x.Equals(y) || (x == 0 && y == 0)
        || (double.IsFinite(x) && Math.Abs(y - x) <= tolerance.Absolute + (tolerance.Relative * Math.Abs(x)));
}
