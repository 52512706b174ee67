using System.Globalization;

namespace MergeKit.Core.Merging.Planning;

/// <summary>A tensor name taken apart at its layer number: the first component of the dotted name that is a number.</summary>
/// <param name="Prefix">Everything before the number, dot included; the whole name where there is no number.</param>
/// <param name="Layer">The number, or null.</param>
/// <param name="Suffix">Everything after the number, dot included.</param>
public readonly record struct LayerName(string Prefix, int? Layer, string Suffix)
{
    /// <summary>Takes a name apart: <c>model.layers.3.mlp.up_proj.weight</c> is <c>model.layers.</c>, 3, <c>.mlp.up_proj.weight</c>.</summary>
    public static LayerName Parse(string name)
    {
        for (var start = 0; start < name.Length;)
        {
            var end = name.IndexOf('.', start);
            end = end < 0 ? name.Length : end;
            if (end > start && int.TryParse(name.AsSpan(start, end - start), NumberStyles.None, CultureInfo.InvariantCulture, out var layer))
                return new LayerName(name[..start], layer, name[end..]);
            start = end + 1;
        }

        return new LayerName(name, null, "");
    }

    /// <summary>The name with another layer number.</summary>
    public string With(int layer) => Layer is null ? Prefix : $"{Prefix}{layer.ToString(CultureInfo.InvariantCulture)}{Suffix}";
}
