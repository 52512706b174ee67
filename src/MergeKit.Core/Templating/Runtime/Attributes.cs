using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Jinja2's <c>value.name</c> and <c>value[key]</c>: attributes and items stand in for each other; what is missing is undefined.</summary>
internal static class Attributes
{
    /// <summary><c>value.name</c>: a method or attribute first, then an item.</summary>
    public static object? Attribute(Rendering run, object? value, string name) =>
        TryMember(run, value, name, out var member) ? member
        : value is PythonDict dict && dict.TryGet(name, out var item) ? item
        : run.Missing($"'{Describe(value)}' has no attribute '{name}'");

    /// <summary><c>value[key]</c>: an item first, then an attribute.</summary>
    public static object? Item(Rendering run, object? value, object? key)
    {
        if (value is Undefined undefined)
            throw undefined.Fault();
        (key as Undefined)?.Use();
        if (value is PythonDict dict)
        {
            if (key is not (List<object?> or PythonDict) && dict.TryGet(key, out var item))
                return item;
        }
        else if (PythonNumber.IsInteger(key) && Python.TryLength(value) is { } length && value is not PythonView)
        {
            var index = PythonNumber.ToInteger(key);
            index = index < 0 ? index + length : index;
            return index >= 0 && index < length ? At(value, (long)index) : run.Missing($"{Describe(value)} has no element {PythonNumber.ToInteger(key)}");
        }

        return key is string name && TryMember(run, value, name, out var member) ? member
            : run.Missing($"'{Describe(value)}' has no {(key is string ? "attribute" : "element")} {PythonString.Repr(key)}");
    }

    /// <summary><c>value[start:stop:step]</c> of a string, list, tuple or range.</summary>
    public static object? Slice(Rendering run, object? value, object? start, object? stop, object? step)
    {
        if (value is Undefined undefined)
            throw undefined.Fault();
        if (value is not (string or List<object?> or PythonTuple or PythonRange))
            return run.Missing($"'{Describe(value)}' cannot be sliced");
        var length = Python.TryLength(value) ?? 0;
        var by = Bound(step) ?? 1;
        if (by == 0)
            throw new TemplateFault("slice step cannot be zero");
        var (low, high) = by > 0 ? (0L, length) : (-1L, length - 1);
        var from = Bound(start) is { } s ? Math.Clamp(s < 0 ? s + length : s, low, high) : by > 0 ? low : high;
        var to = Bound(stop) is { } e ? Math.Clamp(e < 0 ? e + length : e, low, high) : by > 0 ? high : low;
        run.Charge(Math.Abs(to - from));
        if (value is string text)
            return by == 1 ? Substring(text, from, to) : Pick(PythonString.Characters(text).ToArray());
        var items = Indices().Select(index => At(value, index)).ToList();
        return value is PythonTuple ? new PythonTuple(items) : items;

        string Pick(string[] characters) => string.Concat(Indices().Select(index => characters[index]));

        IEnumerable<long> Indices()
        {
            for (var i = from; by > 0 ? i < to : i > to; i += by)
                yield return i;
        }
    }

    /// <summary>The value at a dotted path such as <c>a.b.0</c>, as filters take it.</summary>
    public static object? Path(Rendering run, object? value, object? path)
    {
        if (path is not string text)
            return Item(run, value, path);
        foreach (var part in text.Split('.'))
            value = Item(run, value, part.Length > 0 && part.All(char.IsAsciiDigit) && part.Length < 10 ? long.Parse(part) : part);
        return value;
    }

    /// <summary>A kind of value as error messages name it.</summary>
    public static string Describe(object? value) => value is null ? "None" : Python.TypeName(value) + " object";

    /// <summary>A method or attribute of the value itself, never an item.</summary>
    public static bool TryMember(Rendering run, object? value, string name, out object? member)
    {
        member = null;
        if (value is Undefined undefined)
            throw undefined.Fault();
        if (value is TemplateObject own)
            return own.TryGetAttribute(name, out member);
        if (value is PythonTuple tuple && Array.IndexOf(tuple.Names, name) is >= 0 and var at)
        {
            member = tuple.Items[at];
            return true;
        }

        var method = value switch
        {
            string => StringMethods.Find(name),
            List<object?> or PythonTuple or PythonDict => CollectionMethods.Find(value, name, run.Options.Immutable),
            _ => null,
        };
        member = method is null ? null : new BoundBuiltin(method, value);
        return method is not null;
    }

    private static object? At(object? value, long index) => value switch
    {
        string text => Substring(text, index, index + 1),
        PythonRange range => range.Start + (index * range.Step),
        _ => Python.Items(value)[(int)index],
    };

    private static string Substring(string text, long from, long to)
    {
        if (to <= from)
            return "";
        var start = PythonString.Offset(text, from);
        return text.Substring(start, PythonString.Offset(text[start..], to - from));
    }

    private static long? Bound(object? value)
    {
        if (value is null)
            return null;
        if (!PythonNumber.IsInteger(value))
            throw new TemplateFault("slice indices must be integers or None");
        return (long)BigInteger.Clamp(PythonNumber.ToInteger(value), -(1L << 40), 1L << 40);
    }
}
