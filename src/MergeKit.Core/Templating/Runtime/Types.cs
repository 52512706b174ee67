using System.Collections;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>A name, attribute or item that is not there. In strict mode using it is an error; otherwise it is empty.</summary>
internal sealed class Undefined(string reason, bool strict)
{
    public bool IsStrict => strict;

    public TemplateFault Fault() => new(reason);

    /// <summary>Fails in strict mode.</summary>
    public void Use()
    {
        if (strict)
            throw Fault();
    }
}

/// <summary>A tuple: prints with parentheses, cannot be changed.</summary>
internal sealed class PythonTuple(IReadOnlyList<object?> items, string[]? names = null)
{
    public IReadOnlyList<object?> Items { get; } = items;

    /// <summary>Names under which the items can also be read, for a named tuple.</summary>
    public string[] Names => names ?? [];
}

/// <summary>The integers from start to before stop; never stored.</summary>
internal sealed record PythonRange(long Start, long Stop, long Step)
{
    public const long MaxLength = 100_000;

    public long Length => Step > 0
        ? Stop > Start ? ((Stop - Start - 1) / Step) + 1 : 0
        : Start > Stop ? ((Start - Stop - 1) / -Step) + 1 : 0;

    public IEnumerable<object?> Values()
    {
        for (long i = 0, n = Length; i < n; i++)
            yield return Start + (i * Step);
    }
}

/// <summary>A sequence that can be walked once, as Python's generators: always true, without length or items.</summary>
internal sealed class PythonIterator(string kind, IEnumerable<object?> items)
{
    private readonly IEnumerator<object?> _items = items.GetEnumerator();

    public string Kind => kind;

    public IEnumerable<object?> Rest()
    {
        while (_items.MoveNext())
            yield return _items.Current;
    }
}

/// <summary>The keys, values or items of a dictionary: has a length, cannot be indexed.</summary>
internal sealed record PythonView(string Kind, IReadOnlyList<object?> Items);

/// <summary>A dictionary in order of insertion, with Python's equality of keys (1, 1.0 and True are one key).</summary>
internal sealed class PythonDict : IEnumerable<KeyValuePair<object?, object?>>
{
    private static readonly object NoneKey = new();
    private readonly OrderedDictionary<object, object?> _items = new(KeyComparer.Instance);

    public PythonDict()
    {
    }

    public PythonDict(IEnumerable<KeyValuePair<object?, object?>> items)
    {
        foreach (var (key, value) in items)
            this[key] = value;
    }

    public int Count => _items.Count;

    public IEnumerable<object?> Keys => this.Select(pair => pair.Key);

    public IEnumerable<object?> Values => _items.Values;

    public object? this[object? key]
    {
        set => _items[Boxed(key)] = value;
    }

    public bool TryGet(object? key, out object? value) => _items.TryGetValue(Boxed(key), out value);

    public bool Contains(object? key) => _items.ContainsKey(Boxed(key));

    public bool Remove(object? key) => _items.Remove(Boxed(key));

    public void Clear() => _items.Clear();

    public IEnumerator<KeyValuePair<object?, object?>> GetEnumerator() =>
        _items.Select(pair => KeyValuePair.Create(pair.Key == NoneKey ? null : pair.Key, pair.Value)).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static object Boxed(object? key)
    {
        if (key is List<object?> or PythonDict)
            throw new TemplateFault($"unhashable type: '{Python.TypeName(key)}'");
        return key ?? NoneKey;
    }

    private sealed class KeyComparer : IEqualityComparer<object>
    {
        public static KeyComparer Instance { get; } = new();

        bool IEqualityComparer<object>.Equals(object? x, object? y) => ReferenceEquals(x, y) || Python.AreEqual(x, y);

        public int GetHashCode(object key) => Python.Hash(key);
    }
}

/// <summary>An object with attributes of its own, or one that can be called.</summary>
internal abstract class TemplateObject
{
    public abstract string TypeName { get; }

    public virtual bool IsCallable => false;

    public virtual bool TryGetAttribute(string name, out object? value)
    {
        value = null;
        return false;
    }

    public virtual object? Call(Rendering run, Arguments arguments) => throw new TemplateFault($"'{TypeName}' object is not callable");
}

/// <summary>What <c>namespace()</c> makes: the only object whose attributes a template may set.</summary>
internal sealed class TemplateNamespace : TemplateObject
{
    public Dictionary<string, object?> Values { get; } = new(StringComparer.Ordinal);

    public override string TypeName => "Namespace";

    public override bool TryGetAttribute(string name, out object? value) => Values.TryGetValue(name, out value);
}
