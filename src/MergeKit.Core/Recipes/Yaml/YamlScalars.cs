using System.Globalization;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>What a plain scalar means under YAML 1.1 as PyYAML reads it, which differs from YAML 1.2 in places:
/// <c>yes no on off</c> are booleans; <c>010</c> is eight and <c>0b11</c> three; <c>1_000</c> is a thousand; <c>1:30</c> is ninety (base sixty);
/// an exponent needs both a point and a sign to make a number, so <c>1e-3</c> and <c>1.0e3</c> are text here and become
/// numbers only where a number is wanted (<see cref="TryNumberFromText"/>); so do <c>-.5</c> and <c>08</c>.
/// Dates stay text: no key of a recipe wants one.</summary>
internal static partial class YamlScalars
{
    /// <summary>The kind and number of a plain scalar without a tag.</summary>
    public static (ScalarKind Kind, double Number) ResolvePlain(string text)
    {
        switch (text)
        {
            case "" or "~" or "null" or "Null" or "NULL":
                return (ScalarKind.Null, 0);
            case "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON":
                return (ScalarKind.Boolean, 1);
            case "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF":
                return (ScalarKind.Boolean, 0);
            case ".inf" or ".Inf" or ".INF" or "+.inf" or "+.Inf" or "+.INF":
                return (ScalarKind.Float, double.PositiveInfinity);
            case "-.inf" or "-.Inf" or "-.INF":
                return (ScalarKind.Float, double.NegativeInfinity);
            case ".nan" or ".NaN" or ".NAN":
                return (ScalarKind.Float, double.NaN);
        }

        if (!char.IsAsciiDigit(text[0]) && text[0] is not ('+' or '-' or '.'))
            return (ScalarKind.Text, 0);
        if (TryInteger(text) is { } integer)
            return (ScalarKind.Integer, integer);
        return TryFloat(text) is { } number ? (ScalarKind.Float, number) : (ScalarKind.Text, 0);
    }

    /// <summary>Reads text as a number where a number is wanted, as generously as mergekit: <c>1e-3</c>, <c>" 0.5 "</c>, <c>1_000</c>.</summary>
    public static bool TryNumberFromText(string text, out double number) =>
        double.TryParse(DigitSeparator().Replace(text.Trim(), ""), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture, out number);

    private static double? TryInteger(string text)
    {
        var (sign, body) = SplitSign(text.Replace("_", "", StringComparison.Ordinal));
        if (DecimalInteger().IsMatch(text))
            return sign * Decimal(body);
        if (OctalInteger().IsMatch(text))
            return sign * Positional(body, 8);
        if (BinaryInteger().IsMatch(text) && body.Length > 2)
            return sign * Positional(body[2..], 2);
        if (HexadecimalInteger().IsMatch(text) && body.Length > 2)
            return sign * Positional(body[2..], 16);
        return SexagesimalInteger().IsMatch(text) ? sign * Sexagesimal(body) : null;
    }

    private static double? TryFloat(string text)
    {
        var (sign, body) = SplitSign(text.Replace("_", "", StringComparison.Ordinal));
        if (DecimalFloat().IsMatch(text))
            return sign * Decimal(body);
        return SexagesimalFloat().IsMatch(text) ? sign * Sexagesimal(body) : null;
    }

    private static (double Sign, string Body) SplitSign(string text) => text.Length == 0 ? (1, text) : text[0] switch
    {
        '-' => (-1, text[1..]),
        '+' => (1, text[1..]),
        _ => (1, text),
    };

    private static double Decimal(string digits) => double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture);

    private static double Positional(string digits, int radix) =>
        digits.Aggregate(0.0, (value, digit) => (value * radix) + Convert.ToInt32(digit.ToString(), 16));

    private static double Sexagesimal(string text) => text.Split(':').Aggregate(0.0, (value, part) => (value * 60) + Decimal(part));

    [GeneratedRegex(@"\A[-+]?(0|[1-9][0-9_]*)\z")]
    private static partial Regex DecimalInteger();

    [GeneratedRegex(@"\A[-+]?0[0-7_]+\z")]
    private static partial Regex OctalInteger();

    [GeneratedRegex(@"\A[-+]?0b[01_]+\z")]
    private static partial Regex BinaryInteger();

    [GeneratedRegex(@"\A[-+]?0x[0-9a-fA-F_]+\z")]
    private static partial Regex HexadecimalInteger();

    [GeneratedRegex(@"\A[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+\z")]
    private static partial Regex SexagesimalInteger();

    [GeneratedRegex(@"\A([-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?\z")]
    private static partial Regex DecimalFloat();

    [GeneratedRegex(@"\A[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*\z")]
    private static partial Regex SexagesimalFloat();

    [GeneratedRegex(@"(?<=[0-9])_(?=[0-9])")]
    private static partial Regex DigitSeparator();
}
