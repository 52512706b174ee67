using System.Numerics;
using System.Runtime.CompilerServices;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Python's ideas of type, truth, equality, order and iteration over the values of a template:
/// null, bool, long, BigInteger, double, string, List, PythonTuple, PythonDict, PythonRange, PythonView, PythonIterator, Undefined, TemplateObject.</summary>
internal static class Python
{
    /// <summary>The longest string or list that a template may make.</summary>
    public const long MaxValueLength = 16 << 20;

    public static void CheckLength(long length)
    {
        if (length > MaxValueLength)
            throw new TemplateFault($"a value of {length} characters or items is larger than the limit of {MaxValueLength}");
    }

    public static string TypeName(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        List<object?> => "list",
        PythonTuple => "tuple",
        PythonDict => "dict",
        PythonRange => "range",
        PythonView view => view.Kind,
        PythonIterator iterator => iterator.Kind,
        Undefined => "Undefined",
        TemplateObject other => other.TypeName,
        _ => value.GetType().Name,
    };

    public static bool Truth(object? value)
    {
        if (value is Undefined undefined)
            undefined.Use();
        return value switch
        {
            null or Undefined => false,
            bool flag => flag,
            long number => number != 0,
            BigInteger number => !number.IsZero,
            double number => number != 0,
            _ => TryLength(value) is not 0,
        };
    }

    /// <summary>The length, or null for a value without one.</summary>
    public static long? TryLength(object? value) => value switch
    {
        string text => PythonString.Length(text),
        List<object?> list => list.Count,
        PythonTuple tuple => tuple.Items.Count,
        PythonDict dict => dict.Count,
        PythonRange range => range.Length,
        PythonView view => view.Items.Count,
        _ => null,
    };

    public static long Length(object? value)
    {
        if (value is not Undefined undefined)
            return TryLength(value) ?? throw new TemplateFault($"object of type '{TypeName(value)}' has no len()");
        undefined.Use();
        return 0;
    }

    public static bool IsSequence(object? value) => value is List<object?> or PythonTuple;

    public static IReadOnlyList<object?> Items(object? value) => value switch
    {
        List<object?> list => list,
        PythonTuple tuple => tuple.Items,
        _ => throw new TemplateFault($"a list was expected, not '{TypeName(value)}'"),
    };

    /// <summary>What a loop over the value walks: null when it cannot be walked.</summary>
    public static IEnumerable<object?>? TryIterate(object? value)
    {
        if (value is Undefined undefined)
            undefined.Use();
        return value switch
        {
            string text => PythonString.Characters(text),
            List<object?> list => list,
            PythonTuple tuple => tuple.Items,
            PythonDict dict => dict.Keys,
            PythonRange range => range.Values(),
            PythonView view => view.Items,
            PythonIterator iterator => iterator.Rest(),
            Undefined => [],
            _ => null,
        };
    }

    public static IEnumerable<object?> Iterate(object? value) =>
        TryIterate(value) ?? throw new TemplateFault($"'{TypeName(value)}' object is not iterable");

    public static bool AreEqual(object? a, object? b)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        (a as Undefined)?.Use();
        (b as Undefined)?.Use();
        if (PythonNumber.IsNumber(a) && PythonNumber.IsNumber(b))
            return PythonNumber.Compare(a, b) == 0;
        return (a, b) switch
        {
            (string x, string y) => x == y,
            (List<object?> x, List<object?> y) => SameItems(x, y),
            (PythonTuple x, PythonTuple y) => SameItems(x.Items, y.Items),
            (PythonDict x, PythonDict y) => x.Count == y.Count
                && x.All(pair => y.TryGet(pair.Key, out var other) && AreEqual(pair.Value, other)),
            (Undefined, Undefined) => true,
            (PythonRange x, PythonRange y) => x == y,
            _ => ReferenceEquals(a, b),
        };
    }

    public static int Hash(object? value) => value switch
    {
        bool or long or BigInteger or double => PythonNumber.ToDouble(value).GetHashCode(),
        string text => text.GetHashCode(StringComparison.Ordinal),
        PythonTuple tuple => tuple.Items.Aggregate(17, (hash, item) => HashCode.Combine(hash, item is null ? 0 : Hash(item))),
        null => 0,
        _ => RuntimeHelpers.GetHashCode(value),
    };

    /// <summary>Orders two values as <c>&lt;</c> does; values of unlike types have no order. A NaN gives null.</summary>
    public static int? Compare(object? a, object? b, string op)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if ((a as Undefined ?? b as Undefined) is { } undefined)
            throw undefined.Fault();
        if (PythonNumber.IsNumber(a) && PythonNumber.IsNumber(b))
            return PythonNumber.Compare(a, b);
        if (a is string x && b is string y)
            return PythonString.Compare(x, y);
        if ((a is List<object?> && b is List<object?>) || (a is PythonTuple && b is PythonTuple))
            return CompareItems(Items(a), Items(b), op);
        throw new TemplateFault($"'{op}' not supported between instances of '{TypeName(a)}' and '{TypeName(b)}'");
    }

    public static bool Contains(object? container, object? item)
    {
        if (container is string text)
            return item is string part
                ? text.Contains(part, StringComparison.Ordinal)
                : throw new TemplateFault($"'in <string>' requires string as left operand, not {TypeName(item)}");
        if (container is PythonDict dict)
            return dict.Contains(item);
        var items = TryIterate(container) ?? throw new TemplateFault($"argument of type '{TypeName(container)}' is not iterable");
        return items.Any(other => AreEqual(other, item));
    }

    private static bool SameItems(IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        if (a.Count != b.Count)
            return false;
        for (var i = 0; i < a.Count; i++)
            if (!AreEqual(a[i], b[i]))
                return false;
        return true;
    }

    private static int? CompareItems(IReadOnlyList<object?> a, IReadOnlyList<object?> b, string op)
    {
        for (var i = 0; i < a.Count && i < b.Count; i++)
            if (!AreEqual(a[i], b[i]))
                return Compare(a[i], b[i], op);
        return a.Count.CompareTo(b.Count);
    }
}
