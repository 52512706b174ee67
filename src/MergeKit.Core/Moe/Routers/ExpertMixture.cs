using System.Numerics;
using System.Numerics.Tensors;
using MergeKit.Core.Architectures;

namespace MergeKit.Core.Moe.Routers;

/// <summary>One token through a mixture of any experts, in plain steps: the slow twin of the engines' fused ones.</summary>
public static class ExpertMixture
{
    /// <summary>sum_e w_e E_e(x) over the chosen experts.</summary>
    /// <param name="routing">The rule of choice.</param>
    /// <param name="correction">Added to the scores for the choice only; empty for none.</param>
    /// <param name="logits">Router logits, one per expert.</param>
    /// <param name="expert">The output of an expert, called for chosen ones only.</param>
    /// <param name="output">Receives the sum.</param>
    /// <returns>The chosen experts and their weights, by falling selection score.</returns>
    public static (int[] Experts, T[] Weights) Forward<T>(
        RoutingSpec routing, ReadOnlySpan<T> correction, ReadOnlySpan<T> logits, Func<int, T[]> expert, Span<T> output)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        var (experts, weights) = (new int[routing.TopK], new T[routing.TopK]);
        ExpertRouting.Choose(routing, correction, logits.ToArray(), experts, weights);
        output.Clear();
        for (var k = 0; k < experts.Length; k++)
            TensorPrimitives.MultiplyAdd(expert(experts[k]), weights[k], output, output);
        return (experts, weights);
    }

    /// <summary>output += sigmoid(x . s) S(x): an expert that every token visits, behind its gate.</summary>
    public static void AddShared<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gate, ReadOnlySpan<T> shared, Span<T> output)
        where T : unmanaged, IFloatingPointIeee754<T> =>
        TensorPrimitives.MultiplyAdd(shared, T.One / (T.One + T.Exp(-TensorPrimitives.Dot(x, gate))), output, output);
}
