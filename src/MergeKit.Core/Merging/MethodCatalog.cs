using System.Collections.Frozen;
using System.Reflection;

namespace MergeKit.Core.Merging;

/// <summary>All merge methods, found by their attribute.</summary>
public static class MethodCatalog
{
    private static readonly FrozenDictionary<string, MergeMethod> ByName = typeof(MethodCatalog).Assembly.GetTypes()
        .Where(type => type.GetCustomAttribute<MergeMethodAttribute>() is not null)
        .Select(type => (MergeMethod)Activator.CreateInstance(type)!)
        .ToFrozenDictionary(method => method.Description.Name, StringComparer.Ordinal);

    /// <summary>Every method, by name.</summary>
    public static IReadOnlyList<MergeMethod> All { get; } =
        [.. ByName.Values.OrderBy(method => method.Description.Name, StringComparer.Ordinal)];

    /// <summary>The parameters that any method has.</summary>
    public static IReadOnlySet<string> ParameterNames { get; } =
        All.SelectMany(method => method.Description.Parameters).Select(parameter => parameter.Name).ToFrozenSet(StringComparer.Ordinal);

    /// <summary>The method of that name, or null.</summary>
    public static MergeMethod? Find(string name) => ByName.GetValueOrDefault(name);
}
