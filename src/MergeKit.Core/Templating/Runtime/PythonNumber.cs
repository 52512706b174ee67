using System.Globalization;
using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Python's arithmetic: integers without overflow (up to a bound), floor division, true division, booleans as 0 and 1.</summary>
internal static class PythonNumber
{
    private const long MaxBits = 20_000;

    public static bool IsNumber(object? value) => value is long or double or bool or BigInteger;

    public static bool IsInteger(object? value) => value is long or bool or BigInteger;

    public static double ToDouble(object? value) => value switch
    {
        double number => number,
        long number => number,
        bool flag => flag ? 1 : 0,
        BigInteger number => (double)number,
        _ => throw new TemplateFault($"a number was expected, not '{Python.TypeName(value)}'"),
    };

    public static BigInteger ToInteger(object? value) => value switch
    {
        long number => number,
        bool flag => flag ? 1 : 0,
        BigInteger number => number,
        _ => throw new TemplateFault($"an integer was expected, not '{Python.TypeName(value)}'"),
    };

    /// <summary>An integer in its smallest form.</summary>
    public static object Normal(BigInteger value)
    {
        if (value >= long.MinValue && value <= long.MaxValue)
            return (long)value;
        return value.GetBitLength() <= MaxBits ? value : throw new TemplateFault($"an integer of more than {MaxBits} bits");
    }

    /// <summary>The sign of a - b; null when one is NaN.</summary>
    public static int? Compare(object? a, object? b)
    {
        if (a is long x && b is long y)
            return x.CompareTo(y);
        if (a is not double && b is not double)
            return ToInteger(a).CompareTo(ToInteger(b));
        var (left, right) = (ToDouble(a), ToDouble(b));
        if (double.IsNaN(left) || double.IsNaN(right))
            return null;
        if ((a is double && b is double) || !double.IsFinite(left) || !double.IsFinite(right)
            || left != Math.Floor(left) || right != Math.Floor(right))
            return left.CompareTo(right);
        return Whole(a).CompareTo(Whole(b));
    }

    /// <summary>One of <c>+ - * / // % **</c> on two numbers; null when it is not about numbers.</summary>
    public static object? Arithmetic(string op, object? a, object? b)
    {
        if (!IsNumber(a) || !IsNumber(b))
            return null;
        if (op == "/")
            return TrueDivide(a, b);
        if (a is double || b is double)
            return Float(op, ToDouble(a), ToDouble(b));
        if (a is long x && b is long y && Small(op, x, y) is { } small)
            return small;
        return Integer(op, ToInteger(a), ToInteger(b));
    }

    public static object Negate(object? value) => value is double number ? -number : Normal(-ToInteger(value));

    /// <summary>Rounds to decimal digits, halves to even, exactly; negative digits round left of the point.</summary>
    public static object Round(object? value, long digits)
    {
        if (digits is < -400 or > 400)
            throw new TemplateFault($"round(): precision {digits} is outside -400..400");
        if (value is double number)
            return double.IsFinite(number) ? double.Parse(PythonFormat.Fixed(number, (int)digits), NumberStyles.Float, CultureInfo.InvariantCulture) : number;
        var integer = ToInteger(value);
        if (digits >= 0)
            return Normal(integer);
        var unit = BigInteger.Pow(10, (int)-digits);
        return Normal(PythonFormat.DivideHalfEven(integer, unit) * unit);
    }

    /// <summary>Parses as <c>int(text, base)</c>: white space, sign, underscores and prefix allowed; null when it is none.</summary>
    public static object? ParseInteger(string text, int radix = 10)
    {
        var digits = PythonString.Strip(text, null).ToLowerInvariant();
        var negative = digits.StartsWith('-');
        if (negative || digits.StartsWith('+'))
            digits = digits[1..];
        var prefix = digits.Length > 1 && digits[0] == '0' ? digits[1] switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 } : 0;
        if (prefix != 0 && (radix == prefix || radix == 0))
            (digits, radix) = (digits[2..], prefix);
        radix = radix == 0 ? 10 : radix;
        if (digits.Length is 0 or > 4000 || digits.StartsWith('_') || digits.EndsWith('_') || digits.Contains("__", StringComparison.Ordinal))
            return null;
        BigInteger value = 0;
        foreach (var c in digits)
        {
            if (c == '_')
                continue;
            var digit = char.IsDigit(c) ? (int)char.GetNumericValue(c) : c is >= 'a' and <= 'z' ? c - 'a' + 10 : 99;
            if (digit >= radix)
                return null;
            value = (value * radix) + digit;
        }

        return Normal(negative ? -value : value);
    }

    /// <summary>Parses as <c>float(text)</c>; null when it is none.</summary>
    public static double? ParseFloat(string text)
    {
        text = PythonString.Strip(text, null);
        var bare = text.TrimStart('+', '-').ToLowerInvariant();
        if (text.Length - bare.Length <= 1 && bare is "inf" or "infinity" or "nan")
            return bare == "nan" ? double.NaN : text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
        if (text.Length == 0 || text.StartsWith('_') || text.EndsWith('_') || text.Contains("__", StringComparison.Ordinal)
            || !(char.IsAsciiDigit(text[^1]) || text[^1] == '.'))
            return null;
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(text.Replace("_", "", StringComparison.Ordinal), Style, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    private static object? Small(string op, long x, long y)
    {
        try
        {
            return op switch
            {
                "+" => checked(x + y),
                "-" => checked(x - y),
                "*" => checked(x * y),
                _ => null,
            };
        }
        catch (OverflowException)
        {
            return null;
        }
    }

    private static object Integer(string op, BigInteger x, BigInteger y)
    {
        switch (op)
        {
            case "+":
                return Normal(x + y);
            case "-":
                return Normal(x - y);
            case "*":
                return Normal(x * y);
            case "**" when y.Sign < 0:
                return Float(op, (double)x, (double)y);
            case "**":
                if (!x.IsZero && !x.IsOne && x != BigInteger.MinusOne && x.GetBitLength() * y > MaxBits)
                    throw new TemplateFault($"an integer of more than {MaxBits} bits");
                return Normal(BigInteger.Pow(x, (int)(BigInteger.Abs(x) <= 1 ? (y.IsZero ? 0 : y.IsEven ? 2 : 1) : y)));
        }

        if (y.IsZero)
            throw new TemplateFault("integer division or modulo by zero");
        var quotient = BigInteger.DivRem(x, y, out var remainder);
        if (!remainder.IsZero && remainder.Sign != y.Sign)
            (quotient, remainder) = (quotient - 1, remainder + y);
        return Normal(op == "//" ? quotient : remainder);
    }

    private static object Float(string op, double x, double y)
    {
        switch (op)
        {
            case "+":
                return x + y;
            case "-":
                return x - y;
            case "*":
                return x * y;
            case "**" when x == 0 && y < 0:
                throw new TemplateFault("0.0 cannot be raised to a negative power");
            case "**" when x < 0 && y != Math.Floor(y):
                throw new TemplateFault("a negative number raised to a fractional power is complex");
            case "**":
                return Math.Pow(x, y);
        }

        if (y == 0)
            throw new TemplateFault("float floor division or modulo by zero");
        var remainder = x % y;
        if (remainder != 0 && (remainder < 0) != (y < 0))
            remainder += y;
        return op == "%" ? remainder : Math.Floor((x - remainder) / y + 0.5);
    }

    private static object TrueDivide(object? a, object? b)
    {
        var (x, y) = (ToDouble(a), ToDouble(b));
        return y != 0 ? x / y : throw new TemplateFault("division by zero");
    }

    private static BigInteger Whole(object? value) => value is double number ? new BigInteger(number) : ToInteger(value);
}
