using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Descriptions of the parameters that several methods share.</summary>
internal static class ParameterSet
{
    public static ParameterDescription Weight { get; } =
        PerModel("weight", null, "The model's share: w_i.");

    public static ParameterDescription PerModel(string name, double? fallback, string summary) =>
        new(name, ParameterScope.PerModel, ParameterTypes.Number, fallback is null, fallback, summary);

    public static ParameterDescription Number(string name, double? fallback, string summary) =>
        new(name, ParameterScope.Global, ParameterTypes.Number, fallback is null, fallback, summary);

    public static ParameterDescription Flag(string name, bool fallback, string summary) =>
        new(name, ParameterScope.Global, ParameterTypes.Boolean, false, fallback, summary);
}
