using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>The tests behind <c>is</c>.</summary>
internal static class Tests
{
    public static readonly Dictionary<string, Builtin> Table = Builtin.Table(
        ("defined", "", c => c.Self is not Undefined),
        ("undefined", "", c => c.Self is Undefined),
        ("none", "", c => c.Self is null),
        ("true", "", c => c.Self is true),
        ("false", "", c => c.Self is false),
        ("boolean", "", c => c.Self is bool),
        ("integer", "", c => c.Self is long or BigInteger),
        ("float", "", c => c.Self is double),
        ("number", "", c => PythonNumber.IsNumber(c.Self)),
        ("string", "", c => c.Self is string),
        ("mapping", "", c => c.Self is PythonDict),
        ("sequence", "", c => c.Self is Undefined || (c.Self is not PythonView && Python.TryLength(c.Self) is not null)),
        ("iterable", "", c => c.Self is PythonIterator || Python.TryIterate(c.Self) is not null),
        ("callable", "", c => c.Self is TemplateObject { IsCallable: true }),
        ("escaped", "", _ => false),
        ("odd", "", c => Modulo(c.Self, 2L) is 1L),
        ("even", "", c => Modulo(c.Self, 2L) is 0L),
        ("divisibleby", "num", c => Python.AreEqual(Modulo(c.Self, c[0]), 0L)),
        ("upper", "", c => c.SelfText.Any(char.IsUpper) && !c.SelfText.Any(char.IsLower)),
        ("lower", "", c => c.SelfText.Any(char.IsLower) && !c.SelfText.Any(char.IsUpper)),
        ("eq equalto ==", "other", c => Operators.Comparison("==", c.Self, c[0])),
        ("ne !=", "other", c => Operators.Comparison("!=", c.Self, c[0])),
        ("lt lessthan <", "other", c => Operators.Comparison("<", c.Self, c[0])),
        ("le <=", "other", c => Operators.Comparison("<=", c.Self, c[0])),
        ("gt greaterthan >", "other", c => Operators.Comparison(">", c.Self, c[0])),
        ("ge >=", "other", c => Operators.Comparison(">=", c.Self, c[0])),
        ("in", "container", c => Python.Contains(c[0], c.Self)),
        ("sameas", "other", c => Same(c.Self, c[0])),
        ("filter", "", c => c.Self is string name && Library.HasFilter(name)),
        ("test", "", c => c.Self is string name && Library.HasTest(name)));

    private static object Modulo(object? value, object? divisor)
    {
        (value as Undefined)?.Use();
        return PythonNumber.Arithmetic("%", value, divisor)
            ?? throw new TemplateFault($"unsupported operand type(s) for %: '{Python.TypeName(value)}' and '{Python.TypeName(divisor)}'");
    }

    private static bool Same(object? a, object? b) => (a, b) switch
    {
        (bool x, bool y) => x == y,
        (long x, long y) => x == y,
        (string x, string y) => x == y,
        _ => ReferenceEquals(a, b),
    };
}
