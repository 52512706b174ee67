using System.Globalization;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Reports;

/// <summary>Numbers as reports print them.</summary>
internal static class Numbers
{
    /// <summary>Four significant digits; "n/a" for NaN.</summary>
    public static string Text(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "n/a" : value > 0 ? "inf" : "-inf";
        if (value == 0)
            return "0";
        var magnitude = (int)Math.Floor(Math.Log10(Math.Abs(value)));
        return magnitude is < -4 or > 6 ? value.ToString("0.###e+0", CultureInfo.InvariantCulture)
            : value.ToString("F" + Math.Clamp(3 - magnitude, 0, 6), CultureInfo.InvariantCulture);
    }

    /// <summary>[low, high], or a dash where there is none.</summary>
    public static string Text(Interval? interval) => interval is { } range ? $"[{Text(range.Low)}, {Text(range.High)}]" : "-";

    /// <summary>A p-value: three decimals, "&lt;0.001" below, a dash for none.</summary>
    public static string P(double value) => double.IsNaN(value) ? "-" : value < 0.001 ? "<0.001" : value.ToString("0.000", CultureInfo.InvariantCulture);

    /// <summary>The value and its interval.</summary>
    public static string Text(Measurement measurement) => $"{Text(measurement.Value)} {Text(measurement.Interval)}";
}
