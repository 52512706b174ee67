using System.Globalization;

namespace MergeKit.Cli.Display;

/// <summary>Numbers in tables.</summary>
internal static class Figure
{
    /// <summary>Four significant digits without an exponent where that reads well; "inf" and "n/a" for what is no number.</summary>
    public static string Text(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "n/a" : value > 0 ? "inf" : "-inf";
        var rounded = Math.Abs(value) is > 0 and < 1e-4 ? value.ToString("0.##e+0", CultureInfo.InvariantCulture)
            : Math.Round(value, Math.Abs(value) < 1 ? 5 : 4).ToString(Math.Abs(value) < 0.1 ? "0.#####" : "0.####", CultureInfo.InvariantCulture);
        return rounded is "-0" or "" ? "0" : rounded;
    }

    /// <summary>[low, high].</summary>
    public static string Range(double low, double high) => $"[{Text(low)}, {Text(high)}]";
}
