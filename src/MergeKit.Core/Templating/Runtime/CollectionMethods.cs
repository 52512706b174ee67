namespace MergeKit.Core.Templating.Runtime;

/// <summary>The methods of Python's lists, tuples and dictionaries; those that change a value are refused in an immutable environment.</summary>
internal static class CollectionMethods
{
    private static readonly Dictionary<string, Builtin> SequenceMethods = Builtin.Table(
        ("index", "value", c => IndexOf(Python.Items(c.Self), c[0])),
        ("count", "value", c => (long)Python.Items(c.Self).Count(item => Python.AreEqual(item, c[0]))));

    private static readonly Dictionary<string, Builtin> ListMethods = Builtin.Table(
        ("copy", "", c => new List<object?>(List(c))),
        ("append", "item", c => Change(c, list => list.Add(c[0]))),
        ("extend", "iterable", c => Change(c, list => list.AddRange(Python.Iterate(c[0]).ToList()))),
        ("insert", "index item", c => Change(c, list => list.Insert(Clamp(c.Integer(0), list.Count), c[1]))),
        ("remove", "value", c => Change(c, list => list.RemoveAt((int)IndexOf(list, c[0])))),
        ("reverse", "", c => Change(c, list => list.Reverse())),
        ("clear", "", c => Change(c, list => list.Clear())),
        ("sort", "reverse?", c => Change(c, list => Replace(list, Sorting.Sort(list, item => item, c.Flag(0))))),
        ("pop", "index?", c => Pop(List(c), c.Integer(0, -1))));

    private static readonly Dictionary<string, Builtin> DictMethods = Builtin.Table(
        ("keys", "", c => new PythonView("dict_keys", Dict(c).Keys.ToList())),
        ("values", "", c => new PythonView("dict_values", Dict(c).Values.ToList())),
        ("items", "", c => new PythonView("dict_items", Dict(c).Select(pair => (object?)new PythonTuple([pair.Key, pair.Value])).ToList())),
        ("get", "key default?", c => Dict(c).TryGet(c[0], out var value) ? value : c[1]),
        ("copy", "", c => new PythonDict(Dict(c))),
        ("update", "*", Update),
        ("setdefault", "key default?", SetDefault),
        ("pop", "key default?", PopKey),
        ("clear", "", c => Clear(Dict(c))));

    private static readonly string[] Changing = ["append", "extend", "insert", "remove", "reverse", "clear", "sort", "pop", "update", "setdefault"];

    /// <summary>The method of a value, or null. Errors: a method that changes the value, in an immutable environment.</summary>
    public static Builtin? Find(object value, string name, bool immutable)
    {
        var method = value is PythonDict ? DictMethods.GetValueOrDefault(name)
            : SequenceMethods.GetValueOrDefault(name) ?? (value is List<object?> ? ListMethods.GetValueOrDefault(name) : null);
        if (method is not null && immutable && Changing.Contains(name))
            throw new TemplateFault($"'{name}' would change a {Python.TypeName(value)}; values are immutable here");
        return method;
    }

    private static List<object?> List(Call call) => (List<object?>)call.Self!;

    private static PythonDict Dict(Call call) => (PythonDict)call.Self!;

    private static long IndexOf(IReadOnlyList<object?> items, object? wanted)
    {
        for (var i = 0; i < items.Count; i++)
            if (Python.AreEqual(items[i], wanted))
                return i;
        throw new TemplateFault($"{PythonString.Repr(wanted)} is not in the list");
    }

    private static int Clamp(long index, int count) => (int)Math.Clamp(index < 0 ? index + count : index, 0, count);

    private static object? Change(Call call, Action<List<object?>> change)
    {
        var list = List(call);
        change(list);
        Python.CheckLength(list.Count);
        call.Run.Charge(1);
        return null;
    }

    private static void Replace(List<object?> list, List<object?> items)
    {
        list.Clear();
        list.AddRange(items);
    }

    private static object? Pop(List<object?> list, long index)
    {
        var at = index < 0 ? index + list.Count : index;
        if (at < 0 || at >= list.Count)
            throw new TemplateFault("pop index out of range");
        var value = list[(int)at];
        list.RemoveAt((int)at);
        return value;
    }

    private static object? Update(Call call)
    {
        foreach (var source in call.Arguments.Positional)
            foreach (var (key, value) in source as PythonDict ?? throw new TemplateFault("update() needs a dictionary"))
                Dict(call)[key] = value;
        foreach (var (key, value) in call.Arguments.Named)
            Dict(call)[key] = value;
        return null;
    }

    private static object? SetDefault(Call call)
    {
        if (!Dict(call).TryGet(call[0], out var value))
            Dict(call)[call[0]] = value = call[1];
        return value;
    }

    private static object? PopKey(Call call)
    {
        if (!Dict(call).TryGet(call[0], out var value))
            return call.Has(1) ? call[1] : throw new TemplateFault($"pop(): no key {PythonString.Repr(call[0])}");
        Dict(call).Remove(call[0]);
        return value;
    }

    private static object? Clear(PythonDict dict)
    {
        dict.Clear();
        return null;
    }
}
