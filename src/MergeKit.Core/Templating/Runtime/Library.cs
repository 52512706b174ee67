using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>The filters and tests by name. Unknown ones are an error that offers the nearest name.</summary>
internal static class Library
{
    private static readonly Dictionary<string, Builtin> Filters =
        TextFilters.Table.Concat(SequenceFilters.Table).Concat(ValueFilters.Table).ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal);

    public static bool HasFilter(string name) => Filters.ContainsKey(name);

    public static bool HasTest(string name) => Tests.Table.ContainsKey(name);

    public static Builtin Filter(string name) =>
        Filters.GetValueOrDefault(name) ?? throw new TemplateFault($"no filter named '{name}'.{Spelling.Hint(name, Filters.Keys)}");

    public static Builtin Test(string name) =>
        Tests.Table.GetValueOrDefault(name) ?? throw new TemplateFault($"no test named '{name}'.{Spelling.Hint(name, Tests.Table.Keys)}");
}
