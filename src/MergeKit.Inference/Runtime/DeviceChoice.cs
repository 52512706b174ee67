using System.Globalization;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Inference.Runtime;

/// <summary>Where a model is to run.</summary>
public readonly record struct DeviceChoice
{
    private const string Prefix = "cuda";

    private DeviceChoice(bool isAuto, int? cuda) => (IsAuto, Cuda) = (isAuto, cuda);

    /// <summary>The CPU; also what a default value means.</summary>
    public static DeviceChoice Cpu { get; }

    /// <summary>The first NVIDIA GPU that can be used and has room, else the CPU.</summary>
    public static DeviceChoice Auto { get; } = new(true, null);

    /// <summary>Whether the choice is left to the machine.</summary>
    public bool IsAuto { get; }

    /// <summary>The index of an NVIDIA GPU; null for none.</summary>
    public int? Cuda { get; }

    /// <summary>One NVIDIA GPU.</summary>
    public static DeviceChoice OnCuda(int index) => new(false, index);

    /// <summary>Reads <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>auto</c>.</summary>
    /// <exception cref="InputException">The text is none of these.</exception>
    public static DeviceChoice Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "cpu")
            return Cpu;
        if (text == "auto")
            return Auto;
        if (text == Prefix)
            return OnCuda(0);
        if (text.StartsWith(Prefix + ":", StringComparison.Ordinal)
            && int.TryParse(text.AsSpan(Prefix.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
            return OnCuda(index);
        throw new InputException($"'{text}' is not a device: cpu, cuda, cuda:N (counted from 0) or auto is wanted");
    }

    /// <inheritdoc/>
    public override string ToString() => IsAuto ? "auto" : Cuda is { } index ? $"{Prefix}:{index.ToString(CultureInfo.InvariantCulture)}" : "cpu";
}
