using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>The operators of expressions.</summary>
internal static class Operators
{
    /// <summary><c>+ - * / // % **</c>.</summary>
    public static object? Binary(Rendering run, string op, object? a, object? b)
    {
        if ((a as Undefined ?? b as Undefined) is { } undefined)
            throw undefined.Fault();
        if (PythonNumber.Arithmetic(op, a, b) is { } number)
            return number;
        return (op, a, b) switch
        {
            ("+", string x, string y) => Concatenate(run, x, y),
            ("+", List<object?> x, List<object?> y) => Concatenate(run, x, y),
            ("+", PythonTuple x, PythonTuple y) => new PythonTuple(Concatenate(run, x.Items, y.Items)),
            ("*", string x, _) when PythonNumber.IsInteger(b) => Repeat(run, x, b),
            ("*", _, string y) when PythonNumber.IsInteger(a) => Repeat(run, y, a),
            ("*", List<object?> x, _) when PythonNumber.IsInteger(b) => Repeat(run, x, b),
            ("*", _, List<object?> y) when PythonNumber.IsInteger(a) => Repeat(run, y, a),
            ("*", PythonTuple x, _) when PythonNumber.IsInteger(b) => new PythonTuple(Repeat(run, x.Items, b)),
            ("%", string x, _) => PythonFormat.Percent(x, b),
            ("+", string, _) => throw new TemplateFault($"can only concatenate str (not \"{Python.TypeName(b)}\") to str"),
            _ => throw new TemplateFault($"unsupported operand type(s) for {op}: '{Python.TypeName(a)}' and '{Python.TypeName(b)}'"),
        };
    }

    /// <summary><c>== != &lt; &lt;= &gt; &gt;= in notin</c>.</summary>
    public static bool Comparison(string op, object? a, object? b) => op switch
    {
        "==" => Python.AreEqual(a, b),
        "!=" => !Python.AreEqual(a, b),
        "in" => Python.Contains(b, a),
        "notin" => !Python.Contains(b, a),
        "<" => Python.Compare(a, b, op) < 0,
        "<=" => Python.Compare(a, b, op) <= 0,
        ">" => Python.Compare(a, b, op) > 0,
        _ => Python.Compare(a, b, op) >= 0,
    };

    private static string Concatenate(Rendering run, string a, string b)
    {
        run.Charge(a.Length + b.Length);
        Python.CheckLength((long)a.Length + b.Length);
        return a + b;
    }

    private static List<object?> Concatenate(Rendering run, IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        run.Charge(a.Count + b.Count);
        Python.CheckLength((long)a.Count + b.Count);
        return [.. a, .. b];
    }

    private static string Repeat(Rendering run, string text, object? times)
    {
        var count = Count(run, text.Length, times);
        return count == 1 ? text : new System.Text.StringBuilder(text.Length * count).Insert(0, text, count).ToString();
    }

    private static List<object?> Repeat(Rendering run, IReadOnlyList<object?> items, object? times)
    {
        var result = new List<object?>();
        for (var left = Count(run, items.Count, times); left > 0; left--)
            result.AddRange(items);
        return result;
    }

    private static int Count(Rendering run, int length, object? times)
    {
        var count = BigInteger.Max(0, PythonNumber.ToInteger(times));
        if (length == 0)
            return 0;
        Python.CheckLength((long)BigInteger.Min(count * length, long.MaxValue));
        run.Charge((long)count * length);
        return (int)count;
    }
}
