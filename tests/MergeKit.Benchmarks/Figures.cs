using System.Globalization;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Benchmarks;

/// <summary>Bits per byte of running text with intervals, and paired differences.</summary>
internal static class Figures
{
    private const int Draws = 2000;

    /// <summary>The value with its 95 % interval.</summary>
    public static string Bits(DataSetResult result)
    {
        var measured = result["bits_per_byte"];
        return measured.Interval is { } range ? $"{F(measured.Value)} [{F(range.Low)}, {F(range.High)}]" : F(measured.Value);
    }

    /// <summary>a - b in bits per byte over the same windows, by the paired bootstrap.</summary>
    public static string Difference(DataSetResult a, DataSetResult b)
    {
        if (ReferenceEquals(a, b))
            return "-";
        var (x, y) = (a.Items.Cast<TextItem>().ToArray(), b.Items.Cast<TextItem>().ToArray());
        var result = RatioBootstrap.Compare(Nll(x), Bytes(x), Nll(y), Bytes(y), Draws)!.Value;
        return $"{S(result.Difference)} [{S(result.Percentile95.Low)}, {S(result.Percentile95.High)}]";

        static double[] Nll(TextItem[] items) => [.. items.Select(item => -item.LogLikelihood)];
        static double[] Bytes(TextItem[] items) => [.. items.Select(item => item.Bytes * Math.Log(2))];
    }

    private static string F(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private static string S(double value) => value.ToString("+0.0000;-0.0000;0", CultureInfo.InvariantCulture);
}
