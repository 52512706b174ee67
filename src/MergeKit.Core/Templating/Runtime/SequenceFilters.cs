using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Filters that work on sequences and dictionaries.</summary>
internal static class SequenceFilters
{
    public static readonly Dictionary<string, Builtin> Table = Builtin.Table(
        ("length count", "", c => Python.Length(c.Self)),
        ("list", "", c => Python.Iterate(c.Self).ToList()),
        ("first", "", c => First(c, Python.Iterate(c.Self))),
        ("last", "", c => First(c, Python.Iterate(c.Self is PythonIterator or PythonView ? throw new TemplateFault($"'{Python.TypeName(c.Self)}' object is not reversible") : c.Self).Reverse())),
        ("reverse", "", c => c.Self is string text ? string.Concat(PythonString.Characters(text).Reverse())
            : new PythonIterator("list_reverseiterator", Python.Iterate(c.Self).Reverse().ToList())),
        ("join", "d? attribute?", Join),
        ("sort", "reverse? case_sensitive? attribute?", c => Sorting.Sort(Python.Iterate(c.Self), Sorting.Key(c.Run, c[2], c.Flag(1), several: true), c.Flag(0))),
        ("unique", "case_sensitive? attribute?", c => new PythonIterator("generator", Unique(c))),
        ("min", "case_sensitive? attribute?", c => Extreme(c, -1)),
        ("max", "case_sensitive? attribute?", c => Extreme(c, 1)),
        ("sum", "attribute? start?", Sum),
        ("map", "*", Map),
        ("select", "*", c => Pick(c, byAttribute: false, wanted: true)),
        ("reject", "*", c => Pick(c, byAttribute: false, wanted: false)),
        ("selectattr", "*", c => Pick(c, byAttribute: true, wanted: true)),
        ("rejectattr", "*", c => Pick(c, byAttribute: true, wanted: false)),
        ("groupby", "attribute default? case_sensitive?", GroupBy),
        ("dictsort", "case_sensitive? by? reverse?", DictSort),
        ("items", "", c => c.Self is Undefined ? new PythonIterator("generator", []) : new PythonIterator("generator",
            (c.Self as PythonDict ?? throw new TemplateFault("Can only get item pairs from a mapping.")).Select(pair => (object?)new PythonTuple([pair.Key, pair.Value])).ToList())),
        ("batch", "linecount fill_with?", Batch),
        ("slice", "slices fill_with?", Slice),
        ("attr", "name", c => Attributes.TryMember(c.Run, c.Self, c.Text(0), out var value) ? value
            : c.Run.Missing($"'{Attributes.Describe(c.Self)}' has no attribute '{c.Text(0)}'")));

    private static object? First(Call call, IEnumerable<object?> items)
    {
        foreach (var item in items)
            return item;
        return call.Run.Missing("No first or last item, sequence was empty.");
    }

    private static string Join(Call call)
    {
        var items = Python.Iterate(call.Self);
        if (call[1] is not null)
            items = items.Select(item => Attributes.Path(call.Run, item, call[1]));
        return StringMethods.Join(PythonString.Text(call.Value(0, "")), items.Select(item => (object?)PythonString.Text(item)).ToList());
    }

    private static List<object?> Unique(Call call)
    {
        var (seen, result) = (new PythonDict(), new List<object?>());
        var key = Sorting.Key(call.Run, call[1], call.Flag(0));
        foreach (var item in Python.Iterate(call.Self))
        {
            var value = key(item);
            if (seen.Contains(value))
                continue;
            seen[value] = null;
            result.Add(item);
        }

        return result;
    }

    private static object? Extreme(Call call, int sign)
    {
        var key = Sorting.Key(call.Run, call[1], call.Flag(0));
        object? best = null;
        var found = false;
        foreach (var item in Python.Iterate(call.Self))
        {
            if (!found || Python.Compare(key(item), key(best), sign < 0 ? "<" : ">") * sign > 0)
                best = item;
            found = true;
        }

        return found ? best : call.Run.Missing("No aggregated item, sequence was empty.");
    }

    private static object? Sum(Call call)
    {
        var total = call.Value(1, 0L);
        foreach (var item in Python.Iterate(call.Self))
            total = Operators.Binary(call.Run, "+", total, call[0] is null ? item : Attributes.Path(call.Run, item, call[0]));
        return total;
    }

    private static object Map(Call call)
    {
        var (positional, named) = (call.Arguments.Positional, call.Arguments.Named);
        var items = Python.Iterate(call.Self);
        if (positional.Count == 0 && named.TryGetValue("attribute", out var attribute))
        {
            var hasDefault = named.TryGetValue("default", out var otherwise);
            if (named.Keys.FirstOrDefault(key => key is not ("attribute" or "default")) is { } unknown)
                throw new TemplateFault($"map() got an unexpected keyword argument '{unknown}'");
            return new PythonIterator("generator", items.Select(item =>
                Attributes.Path(call.Run, item, attribute) is var value && value is Undefined && hasDefault ? otherwise : value));
        }

        if (positional.Count == 0 || positional[0] is not string name)
            throw new TemplateFault("map requires a filter argument");
        var filter = Library.Filter(name);
        var rest = new Arguments(positional.Skip(1).ToList(), named);
        return new PythonIterator("generator", items.Select(item => filter.Invoke(call.Run, item, rest)));
    }

    private static object Pick(Call call, bool byAttribute, bool wanted)
    {
        var arguments = call.Arguments.Positional;
        if (byAttribute && arguments.Count == 0)
            throw new TemplateFault("Missing parameter for attribute name");
        var skip = byAttribute ? 1 : 0;
        var test = arguments.Count > skip ? Library.Test(PythonString.Text(arguments[skip])) : null;
        var rest = new Arguments(arguments.Skip(skip + 1).ToList(), call.Arguments.Named);
        return new PythonIterator("generator", Python.Iterate(call.Self).Where(item =>
        {
            call.Run.Charge(1);
            var value = byAttribute ? Attributes.Path(call.Run, item, arguments[0]) : item;
            return wanted == (test is null ? Python.Truth(value) : Python.Truth(test.Invoke(call.Run, value, rest)));
        }));
    }

    private static object GroupBy(Call call)
    {
        object? Value(object? item) => Attributes.Path(call.Run, item, call[0]) is var value && value is Undefined && call.Has(1) ? call[1] : value;
        object? Key(object? item) => Value(item) is string text && !call.Flag(2) ? text.ToLowerInvariant() : Value(item);
        var groups = new List<object?>();
        List<object?>? members = null;
        object? last = null;
        foreach (var item in Sorting.Sort(Python.Iterate(call.Self), Key, false))
        {
            if (members is null || !Python.AreEqual(last, Key(item)))
                groups.Add(new PythonTuple([Value(item), members = []], ["grouper", "list"]));
            members.Add(item);
            last = Key(item);
        }

        return groups;
    }

    private static object DictSort(Call call)
    {
        var dict = call.Self as PythonDict ?? throw new TemplateFault("dictsort() needs a dictionary");
        var by = call.Text(1, "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw new TemplateFault("You can only sort by either \"key\" or \"value\""),
        };
        var pairs = dict.Select(pair => (object?)new PythonTuple([pair.Key, pair.Value]));
        var key = Sorting.Key(call.Run, null, call.Flag(0));
        return Sorting.Sort(pairs, pair => key(((PythonTuple)pair!).Items[by]), call.Flag(2));
    }

    private static object Batch(Call call)
    {
        var size = (int)Math.Clamp(call.Integer(0), 1, int.MaxValue);
        var rows = Python.Iterate(call.Self).Chunk(size).Select(chunk => new List<object?>(chunk)).ToList();
        if (call[1] is not null && rows.Count > 0)
            Fill(rows[^1], size, call[1]);
        return new PythonIterator("generator", rows);
    }

    private static object Slice(Call call)
    {
        var (items, slices) = (Python.Iterate(call.Self).ToList(), (int)Math.Clamp(call.Integer(0), 1, PythonRange.MaxLength));
        var (each, extra) = (items.Count / slices, items.Count % slices);
        var rows = new List<object?>();
        for (var (i, start) = (0, 0); i < slices; i++)
        {
            var count = each + (i < extra ? 1 : 0);
            var row = items.GetRange(start, count);
            if (call[1] is not null && i >= extra && extra > 0)
                row.Add(call[1]);
            rows.Add(row);
            start += count;
        }

        return new PythonIterator("generator", rows);
    }

    private static void Fill(List<object?> row, int size, object? value)
    {
        Python.CheckLength(size);
        while (row.Count < size)
            row.Add(value);
    }
}
