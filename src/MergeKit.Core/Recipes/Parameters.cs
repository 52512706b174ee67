using System.Collections.Frozen;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>The parameters given at one level of a recipe.</summary>
/// <param name="Values">By name.</param>
public sealed record Parameters(IReadOnlyDictionary<string, ParameterValue> Values)
{
    /// <summary>No parameters.</summary>
    public static Parameters Empty { get; } = new(FrozenDictionary<string, ParameterValue>.Empty);

    /// <summary>Where each name itself was written (a value's own place is in <see cref="ParameterValue.Location"/>).</summary>
    public IReadOnlyDictionary<string, SourceLocation> NameLocations { get; init; } = FrozenDictionary<string, SourceLocation>.Empty;

    /// <summary>The value of one parameter for one tensor, or null when this level does not yield one.</summary>
    public double? Resolve(string parameter, string tensorName, double t) =>
        Values.TryGetValue(parameter, out var value) ? value.Resolve(tensorName, t) : null;
}
