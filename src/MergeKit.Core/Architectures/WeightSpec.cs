namespace MergeKit.Core.Architectures;

/// <summary>One tensor that a configuration implies.</summary>
/// <param name="Name">Its name in published checkpoints.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Layer">The layer it belongs to, counted from 0; null outside the layers.</param>
/// <param name="Expert">The expert it belongs to, counted from 0; null where it is no expert's alone.</param>
/// <param name="Optional">Whether a checkpoint may lack it.</param>
/// <param name="TiedTo">The tensor that stands in for it where it is absent.</param>
/// <param name="Aliases">Other names under which checkpoints store it.</param>
public sealed record WeightSpec(
    string Name, TensorRole Role, int? Layer = null, int? Expert = null, bool Optional = false, string? TiedTo = null,
    IReadOnlyList<string>? Aliases = null)
{
    /// <summary>The shape the configuration implies; null where it does not fix one.</summary>
    public IReadOnlyList<long>? Shape { get; init; }

    /// <summary>The name followed by the aliases.</summary>
    public IEnumerable<string> AllNames => Aliases is null ? [Name] : Aliases.Prepend(Name);
}
