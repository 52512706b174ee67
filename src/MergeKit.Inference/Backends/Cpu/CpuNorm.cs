using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Norms of vectors by their declaration.</summary>
internal static class CpuNorm
{
    /// <summary>y = norm(x), group by group; weights repeat where the vector is longer than they are.</summary>
    public static void Apply(NormWeights norm, ReadOnlySpan<float> x, Span<float> y)
    {
        var (group, size) = (norm.Spec.GroupSize, norm.Spec.Size);
        for (var start = 0; start < x.Length; start += group)
        {
            var weight = norm.Weight.AsSpan(start % size, group);
            if (norm.Spec.Kind == NormKind.Rms)
                VectorOps.RmsNorm(x.Slice(start, group), weight, (float)norm.Spec.Epsilon, y.Slice(start, group));
            else
                VectorOps.LayerNorm(
                    x.Slice(start, group), weight, norm.Bias.Length == 0 ? [] : norm.Bias.AsSpan(start % size, group), (float)norm.Spec.Epsilon, y.Slice(start, group));
        }
    }
}
