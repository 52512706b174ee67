using System.Globalization;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Inspection;

/// <summary>Where a tensor belongs, by its name: a layer, and a component that recurs in every layer.</summary>
/// <param name="Layer">The layer, or null outside the layers.</param>
/// <param name="Component">The name without its layer and without <c>.weight</c>; further numbers (experts) are written <c>*</c>.</param>
public readonly record struct ComponentName(int? Layer, string Component)
{
    /// <summary>Takes a name apart: <c>model.layers.3.mlp.experts.7.up_proj.weight</c> is layer 3, <c>mlp.experts.*.up_proj</c>.</summary>
    public static ComponentName Parse(string name)
    {
        var layered = LayerName.Parse(name);
        var rest = layered.Layer is null ? name : layered.Suffix.TrimStart('.');
        var parts = rest.Split('.').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? "*" : part).ToList();
        if (parts.Count > 1 && parts[^1] == "weight")
            parts.RemoveAt(parts.Count - 1);
        return new ComponentName(layered.Layer, string.Join('.', parts));
    }
}
