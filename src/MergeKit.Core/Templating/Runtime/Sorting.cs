namespace MergeKit.Core.Templating.Runtime;

/// <summary>Stable sorting with Python's order, and the keys by which filters compare.</summary>
internal static class Sorting
{
    /// <summary>The items in order of a key; <paramref name="reverse"/> keeps equal items in their order, as Python does.</summary>
    public static List<object?> Sort(IEnumerable<object?> items, Func<object?, object?> key, bool reverse)
    {
        var comparer = Comparer<object?>.Create((a, b) => Python.Compare(a, b, "<") ?? 0);
        var keyed = items.Select(item => (Item: item, Key: key(item))).ToArray();
        try
        {
            return (reverse ? keyed.OrderByDescending(pair => pair.Key, comparer) : keyed.OrderBy(pair => pair.Key, comparer))
                .Select(pair => pair.Item).ToList();
        }
        catch (InvalidOperationException error) when (error.InnerException is TemplateFault fault)
        {
            throw new TemplateFault(fault.Message);
        }
    }

    /// <summary>A key getter: an attribute path (several joined by commas give a list), with text in lower case unless case counts.</summary>
    public static Func<object?, object?> Key(Rendering run, object? attribute, bool caseSensitive, bool several = false)
    {
        if (attribute is null)
            return item => Fold(item);
        object[] paths = several && attribute is string text ? text.Split(',') : [attribute];
        if (paths.Length == 1)
            return item => Fold(Attributes.Path(run, item, paths[0]));
        return item => paths.Select(path => Fold(Attributes.Path(run, item, path))).ToList();

        object? Fold(object? value) => !caseSensitive && value is string s ? s.ToLowerInvariant() : value;
    }
}
