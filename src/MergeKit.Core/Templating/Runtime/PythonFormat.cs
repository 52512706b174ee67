using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Python's two ways to format: the <c>%</c> operator, and the format specification of <c>str.format</c>.</summary>
internal static class PythonFormat
{
    private const int MaxPrecision = 1000;

    private static readonly Regex Conversion = new(
        @"\G%(?:\((?<key>[^)]*)\))?(?<flags>[-+ #0]*)(?<width>\*|[0-9]*)(?:\.(?<precision>\*|[0-9]*))?[hlL]?(?<type>.)",
        RegexOptions.CultureInvariant | RegexOptions.Singleline);

    private static readonly Regex Specification = new(
        @"^(?:(?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ ])?(?<alt>\#)?(?<zero>0)?(?<width>[0-9]+)?(?<group>[,_])?(?:\.(?<precision>[0-9]+))?(?<type>[a-zA-Z%])?$",
        RegexOptions.CultureInvariant | RegexOptions.Singleline);

    /// <summary><c>format % arguments</c>: a tuple gives several values, a dictionary gives values by name.</summary>
    public static string Percent(string format, object? arguments)
    {
        var values = arguments is PythonTuple tuple ? tuple.Items : [arguments];
        var text = new StringBuilder();
        var (next, named) = (0, false);
        for (var i = 0; i < format.Length;)
        {
            Python.CheckLength(text.Length);
            if (format[i] != '%')
            {
                text.Append(format[i++]);
                continue;
            }

            var match = Conversion.Match(format, i);
            if (!match.Success)
                throw new TemplateFault("incomplete format after '%'");
            i += match.Length;
            if (match.Groups["type"].Value == "%")
            {
                text.Append('%');
                continue;
            }

            var width = Size(match.Groups["width"].Value, Take);
            var precision = match.Groups["precision"].Success ? Size(match.Groups["precision"].Value, Take) ?? 0 : (int?)null;
            object? value;
            if (match.Groups["key"].Success)
            {
                named = true;
                if (arguments is not PythonDict dict || !dict.TryGet(match.Groups["key"].Value, out value))
                    throw new TemplateFault($"format needs a value named '{match.Groups["key"].Value}'");
            }
            else
            {
                value = Take();
            }

            text.Append(Percent(match.Groups["type"].Value[0], match.Groups["flags"].Value, width, precision, value));
        }

        if (!named && next < values.Count && arguments is not PythonDict)
            throw new TemplateFault("not all arguments converted during string formatting");
        return text.ToString();

        object? Take() => next < values.Count ? values[next++] : throw new TemplateFault("not enough arguments for format string");
    }

    /// <summary><c>format(value, specification)</c>.</summary>
    public static string Format(object? value, string specification)
    {
        if (specification.Length == 0)
            return PythonString.Text(value);
        var match = Specification.Match(specification);
        if (!match.Success)
            throw new TemplateFault($"invalid format specifier '{specification}'");
        var type = match.Groups["type"].Value is { Length: 1 } given ? given[0] : '\0';
        var width = Size(match.Groups["width"].Value, null) ?? 0;
        var precision = match.Groups["precision"].Success ? Size(match.Groups["precision"].Value, null) : null;
        var number = PythonNumber.IsNumber(value) && !(value is bool && type is '\0' or 's');
        var body = number ? Number(value, type, precision, match.Groups["alt"].Success) : TextBody(value, type, precision);
        var sign = number && body.StartsWith('-') ? "-" : number && match.Groups["sign"].Value is "+" or " " ? match.Groups["sign"].Value : "";
        body = number ? body.TrimStart('-') : body;
        if (match.Groups["group"].Value is { Length: 1 } separator)
            body = Grouped(body, separator);
        var zero = match.Groups["zero"].Success && !match.Groups["align"].Success;
        var align = zero ? "=" : match.Groups["align"].Value is { Length: 1 } a ? a : number ? ">" : "<";
        return Pad(sign, body, width, zero ? "0" : match.Groups["fill"].Value is { Length: 1 } fill ? fill : " ", align);
    }

    /// <summary>A finite number with a fixed count of decimals, exactly rounded, halves to even. Negative counts round left of the point.</summary>
    public static string Fixed(double value, int decimals)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)((bits >> 52) & 0x7FF);
        BigInteger mantissa = (bits & 0xFFFFFFFFFFFFFL) | (exponent == 0 ? 0 : 1L << 52);
        var shift = Math.Max(exponent, 1) - 1075;
        var (top, bottom) = (mantissa * BigInteger.Pow(10, Math.Max(decimals, 0)), BigInteger.Pow(10, Math.Max(-decimals, 0)));
        var scaled = DivideHalfEven(shift > 0 ? top << shift : top, shift < 0 ? bottom << -shift : bottom) * bottom;
        var digits = scaled.ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(decimals, 0) + 1, '0');
        var text = decimals > 0 ? $"{digits[..^decimals]}.{digits[^decimals..]}" : digits;
        return double.IsNegative(value) ? "-" + text : text;
    }

    public static BigInteger DivideHalfEven(BigInteger value, BigInteger unit)
    {
        var quotient = BigInteger.DivRem(value, unit, out var remainder);
        var twice = BigInteger.Abs(remainder) * 2;
        return twice > unit || (twice == unit && !quotient.IsEven) ? quotient + value.Sign : quotient;
    }

    private static string Percent(char type, string flags, int? width, int? precision, object? value)
    {
        var left = flags.Contains('-');
        var (sign, body) = ("", "");
        switch (type)
        {
            case 's' or 'r' or 'a':
                body = type == 's' ? PythonString.Text(value) : PythonString.Repr(value);
                body = precision is { } cut ? body[..PythonString.Offset(body, cut)] : body;
                break;
            case 'c':
                body = value is string text ? text : char.ConvertFromUtf32((int)PythonNumber.ToInteger(value));
                break;
            case 'd' or 'i' or 'u' or 'x' or 'X' or 'o' or 'f' or 'F' or 'e' or 'E' or 'g' or 'G':
                if (!PythonNumber.IsNumber(value))
                    throw new TemplateFault($"%{type} format: a real number is required, not {Python.TypeName(value)}");
                var whole = type is 'd' or 'i' or 'u' && value is double real ? PythonNumber.Normal(new BigInteger(Math.Truncate(real))) : value;
                body = Number(whole, type is 'i' or 'u' ? 'd' : type, type is 'd' or 'i' or 'u' or 'x' or 'X' or 'o' ? null : precision ?? 6, flags.Contains('#'));
                sign = body.StartsWith('-') ? "-" : flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "";
                body = body.TrimStart('-');
                body = type is 'd' or 'i' or 'u' && precision is { } least ? body.PadLeft(least, '0') : body;
                break;
            default:
                throw new TemplateFault($"unsupported format character '{type}'");
        }

        var zero = flags.Contains('0') && !left && type is not ('s' or 'r' or 'a' or 'c');
        return Pad(sign, body, width ?? 0, zero ? "0" : " ", left ? "<" : zero ? "=" : ">");
    }

    private static int? Size(string text, Func<object?>? take)
    {
        if (text.Length == 0)
            return null;
        var size = text == "*" ? PythonNumber.ToInteger(take!()) : BigInteger.Parse(text, CultureInfo.InvariantCulture);
        return size >= 0 && size <= MaxPrecision ? (int)size : throw new TemplateFault($"a width or precision of {size} is outside 0..{MaxPrecision}");
    }

    private static string TextBody(object? value, char type, int? precision)
    {
        if (type is not ('\0' or 's'))
            throw new TemplateFault($"unknown format code '{type}' for object of type '{Python.TypeName(value)}'");
        var text = PythonString.Text(value);
        return precision is { } cut ? text[..PythonString.Offset(text, cut)] : text;
    }

    private static string Number(object? value, char type, int? precision, bool alternate)
    {
        if (type is '\0' && value is not double && precision is null)
            return PythonNumber.ToInteger(value).ToString(CultureInfo.InvariantCulture);
        switch (type)
        {
            case 'd' or 'n' when value is not double:
                return PythonNumber.ToInteger(value).ToString(CultureInfo.InvariantCulture);
            case 'x' or 'X' or 'o' or 'b' when value is not double:
                var digits = Radix(BigInteger.Abs(PythonNumber.ToInteger(value)), type is 'o' ? 8 : type is 'b' ? 2 : 16);
                digits = (PythonNumber.ToInteger(value).Sign < 0 ? "-" : "") + (alternate ? "0" + char.ToLowerInvariant(type) : "") + digits;
                return type == 'X' ? digits.ToUpperInvariant() : digits;
            case 'c' when value is not double:
                return char.ConvertFromUtf32((int)PythonNumber.ToInteger(value));
        }

        var number = PythonNumber.ToDouble(value);
        if (!double.IsFinite(number))
            return PythonString.Float(number);
        return type switch
        {
            'f' or 'F' => Fixed(number, precision ?? 6),
            '%' => Fixed(number * 100, precision ?? 6) + "%",
            'e' or 'E' => Exponent(number, precision ?? 6, type),
            'g' or 'G' => General(number, precision ?? 6, alternate, type == 'g' ? 'e' : 'E'),
            '\0' when precision is null => PythonString.Float(number),
            '\0' => General(number, precision.Value, alternate, 'e'),
            _ => throw new TemplateFault($"unknown format code '{type}' for object of type '{Python.TypeName(value)}'"),
        };
    }

    private static string Exponent(double number, int decimals, char letter) =>
        number.ToString($"{letter}{decimals}", CultureInfo.InvariantCulture) is var text && text.IndexOf(letter, StringComparison.Ordinal) is var at
            ? text[..(at + 2)] + text[(at + 2)..].TrimStart('0').PadLeft(2, '0') : "";

    private static string General(double number, int precision, bool keepZeros, char letter)
    {
        precision = Math.Max(precision, 1);
        var scientific = Exponent(number, precision - 1, letter);
        var at = scientific.IndexOf(letter, StringComparison.Ordinal);
        var exponent = int.Parse(scientific.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        var plain = exponent >= -4 && exponent < precision;
        var (mantissa, tail) = plain ? (Fixed(number, precision - 1 - exponent), "") : (scientific[..at], scientific[at..]);
        return (mantissa.Contains('.') && !keepZeros ? mantissa.TrimEnd('0').TrimEnd('.') : mantissa) + tail;
    }

    private static string Radix(BigInteger value, int radix)
    {
        if (value.IsZero)
            return "0";
        var digits = new StringBuilder();
        for (; !value.IsZero; value /= radix)
            digits.Insert(0, "0123456789abcdef"[(int)(value % radix)]);
        return digits.ToString();
    }

    private static string Grouped(string body, string separator)
    {
        var end = body.IndexOfAny(['.', 'e', 'E', '%']) is >= 0 and var at ? at : body.Length;
        for (var i = end - 3; i > 0; i -= 3)
            body = body.Insert(i, separator);
        return body;
    }

    private static string Pad(string sign, string body, int width, string fill, string align)
    {
        var missing = Math.Max(0, width - sign.Length - PythonString.Length(body));
        var before = align switch { "<" => 0, "^" => missing / 2, _ => missing };
        var padding = new string(fill[0], before);
        return align == "=" ? sign + padding + body : padding + sign + body + new string(fill[0], missing - before);
    }
}
