using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Filters that work on numbers and on any value.</summary>
internal static class ValueFilters
{
    public static readonly Dictionary<string, Builtin> Table = Builtin.Table(
        ("default d", "default_value? boolean?", c => c.Self is Undefined || (c.Flag(1) && !Python.Truth(c.Self)) ? c.Value(0, "") : c.Self),
        ("abs", "", c => c.Self is double number ? Math.Abs(number) : PythonNumber.Normal(BigInteger.Abs(PythonNumber.ToInteger(c.Self)))),
        ("round", "precision? method?", Round),
        ("int", "default? base?", ToInteger),
        ("float", "default?", ToFloat));

    private static object Round(Call call)
    {
        if (!PythonNumber.IsNumber(call.Self))
            throw new TemplateFault($"round() needs a number, not '{Python.TypeName(call.Self)}'");
        var (digits, method) = (call.Integer(0), call.Text(1, "common"));
        if (method == "common")
            return PythonNumber.Round(call.Self, digits);
        if (digits is < -300 or > 300)
            throw new TemplateFault($"round(): precision {digits} is outside -300..300");
        var (value, unit) = (PythonNumber.ToDouble(call.Self), Math.Pow(10, digits));
        return method switch
        {
            "ceil" => Math.Ceiling(value * unit) / unit,
            "floor" => Math.Floor(value * unit) / unit,
            _ => throw new TemplateFault("method must be common, ceil or floor"),
        };
    }

    private static object? ToInteger(Call call)
    {
        if (call.Self is string text)
        {
            var radix = call.Integer(1, 10);
            if (radix is not (0 or (>= 2 and <= 36)))
                throw new TemplateFault("int() base must be >= 2 and <= 36, or 0");
            return PythonNumber.ParseInteger(text, (int)radix) ?? (PythonNumber.ParseFloat(text) is { } real && double.IsFinite(real)
                ? PythonNumber.Normal(new BigInteger(Math.Truncate(real))) : call.Value(0, 0L));
        }

        (call.Self as Undefined)?.Use();
        return call.Self switch
        {
            double number when double.IsFinite(number) => PythonNumber.Normal(new BigInteger(Math.Truncate(number))),
            long or bool or BigInteger => PythonNumber.Normal(PythonNumber.ToInteger(call.Self)),
            _ => call.Value(0, 0L),
        };
    }

    private static object? ToFloat(Call call)
    {
        (call.Self as Undefined)?.Use();
        return PythonNumber.IsNumber(call.Self) ? PythonNumber.ToDouble(call.Self)
            : call.Self is string text && PythonNumber.ParseFloat(text) is { } value ? value : call.Value(0, 0.0);
    }
}
