using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>Where a stored tensor, or a part of it, lies on the device.</summary>
/// <param name="Tensor">The tensor on the host.</param>
/// <param name="Transposed">Whether it is turned on the way.</param>
/// <param name="Target">Address of its first element on the device.</param>
/// <param name="Alternating">Whether it takes every second row there.</param>
internal sealed record WeightLanding(WeightTensor Tensor, bool Transposed, nint Target, bool Alternating)
{
    /// <summary>Elements.</summary>
    public long Count => Tensor.Shape[0] * Tensor.Shape[1];
}

/// <summary>Notes where weights belong instead of sending them, for contents that come later and more than once.</summary>
internal sealed class WeightLandings
{
    private readonly List<WeightLanding> _all = [];

    /// <summary>All that were noted.</summary>
    public IReadOnlyList<WeightLanding> All => _all;

    /// <summary>Set when contents have come: what is noted later would stay empty.</summary>
    public bool Closed { get; set; }

    /// <summary>Notes one.</summary>
    public void Add(WeightTensor tensor, bool transposed, nint target, bool alternating)
    {
        if (Closed)
            throw new InvalidOperationException("a weight was bound after the weights were written");
        _all.Add(new WeightLanding(tensor, transposed, target, alternating));
    }
}
