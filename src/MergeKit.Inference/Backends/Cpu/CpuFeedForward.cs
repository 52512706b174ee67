using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Feed-forward blocks and mixtures of experts.</summary>
internal sealed class CpuFeedForward(WorkerPool pool) : IDisposable
{
    private readonly CpuBuffer _wide = new(), _inner = new(), _router = new(), _gathered = new(), _expertOutput = new();

    /// <summary>output = down(act(gate) x up), or += that.</summary>
    public void Mlp(MlpWeights weights, CpuBuffer x, CpuBuffer output, bool accumulate)
    {
        var (input, down) = ((CpuMatrix)weights.Input, (CpuMatrix)weights.Down);
        input.Multiply(x.Span, x.Rows, _wide.Resize(x.Rows, input.Rows).Span, pool, accumulate: false);
        var (wide, inner) = (_wide, _inner.Resize(x.Rows, weights.Intermediate));
        pool.For(x.Rows, (token, _) => Gate(weights, wide.Row(token), inner.Row(token)));
        if (!accumulate)
            output.Resize(x.Rows, down.Rows);
        down.Multiply(inner.Span, x.Rows, output.Span, pool, accumulate);
    }

    /// <summary>output = sum over a token's experts of weight x expert(x), plus the shared expert; or += that.</summary>
    public void Moe(MoeWeights weights, CpuBuffer x, CpuBuffer output, bool accumulate, RouterChoice? choice)
    {
        var router = (CpuMatrix)weights.Router;
        router.Multiply(x.Span, x.Rows, _router.Resize(x.Rows, router.Rows).Span, pool, accumulate: false);
        var topK = weights.Routing.TopK;
        var (experts, shares, scores) = (new int[x.Rows * topK], new float[x.Rows * topK], _router);
        pool.For(x.Rows, (token, _) => CpuRouter.Choose(
            weights.Routing, weights.Correction, scores.Row(token), experts.AsSpan(token * topK, topK), shares.AsSpan(token * topK, topK)));
        choice?.Set(topK, experts, shares);
        if (!accumulate)
            output.Resize(x.Rows, x.Columns).Span.Clear();
        var places = ByExpert(experts, weights.Experts.Count);
        for (var expert = 0; expert < places.Length; expert++)
            if (places[expert].Length > 0)
                Visit(weights.Experts[expert], places[expert], topK, shares, x, output);
        if (weights.Shared is { } shared)
            AddShared(shared, (CpuMatrix?)weights.SharedGate, x, output);
    }

    /// <summary>x = f(x).</summary>
    public static void Activate(Activation activation, Span<float> x)
    {
        switch (activation)
        {
            case Activation.Silu:
                VectorOps.Silu(x);
                break;
            case Activation.Gelu:
                VectorOps.Gelu(x);
                break;
            case Activation.GeluTanh:
                VectorOps.GeluTanh(x);
                break;
            case Activation.QuickGelu:
                VectorOps.QuickGelu(x);
                break;
            case Activation.Relu:
                TensorPrimitives.Max(x, 0f, x);
                break;
            case Activation.ReluSquared:
                TensorPrimitives.Max(x, 0f, x);
                TensorPrimitives.Multiply(x, x, x);
                break;
            case Activation.Tanh:
                VectorOps.Tanh(x);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, null);
        }
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _wide, _inner, _router, _gathered, _expertOutput })
            buffer.Dispose();
    }

    /// <summary>act(gate) x up of one token, or act(up); wide is overwritten.</summary>
    public static void Gate(MlpWeights weights, Span<float> wide, Span<float> inner)
    {
        if (weights.Gate == GateKind.None)
        {
            wide.CopyTo(inner);
            Activate(weights.Activation, inner);
            return;
        }

        if (weights.Gate == GateKind.Interleaved)
            wide = Separate(wide);
        var gate = wide[..inner.Length];
        var up = wide[inner.Length..];
        if (weights.ClampedLimit is { } limit)
        {
            TensorPrimitives.Min(gate, limit, gate);
            TensorPrimitives.Clamp(up, -limit, limit, up);
            TensorPrimitives.Add(up, 1, up);
        }

        if (Fused(weights.ClampedLimit is null ? weights.Activation : Activation.QuickGelu) is { } function)
        {
            VectorOps.Gated(function, gate, up, inner);
            return;
        }

        Activate(weights.Activation, gate);
        TensorPrimitives.Multiply<float>(gate, up, inner);
    }

    private static VectorFunction? Fused(Activation activation) => activation switch
    {
        Activation.Silu => VectorFunction.Silu,
        Activation.Gelu => VectorFunction.Gelu,
        Activation.GeluTanh => VectorFunction.GeluTanh,
        Activation.QuickGelu => VectorFunction.QuickGelu,
        Activation.Tanh => VectorFunction.Tanh,
        _ => null,
    };

    /// <summary>Alternating gate and up to gates followed by ups.</summary>
    private static Span<float> Separate(Span<float> wide)
    {
        var halves = new float[wide.Length];
        for (var i = 0; i < wide.Length / 2; i++)
            (halves[i], halves[wide.Length / 2 + i]) = (wide[2 * i], wide[2 * i + 1]);
        return halves;
    }

    /// <summary>The places of each expert in the list of choices.</summary>
    private static int[][] ByExpert(int[] chosen, int count)
    {
        var sizes = new int[count];
        foreach (var expert in chosen)
            sizes[expert]++;
        var places = Array.ConvertAll(sizes, size => new int[size]);
        Array.Clear(sizes);
        for (var place = 0; place < chosen.Length; place++)
            places[chosen[place]][sizes[chosen[place]]++] = place;
        return places;
    }

    /// <summary>Runs one expert on the tokens that chose it.</summary>
    private void Visit(MlpWeights weights, int[] places, int topK, float[] shares, CpuBuffer x, CpuBuffer output)
    {
        var (gathered, result) = (_gathered.Resize(places.Length, x.Columns), _expertOutput);
        pool.For(places.Length, (i, _) => x.Row(places[i] / topK).CopyTo(gathered.Row(i)));
        Mlp(weights, gathered, result, accumulate: false);
        pool.For(places.Length, (i, _) =>
        {
            var row = output.Row(places[i] / topK);
            TensorPrimitives.MultiplyAdd(result.Row(i), shares[places[i]], row, row);
        });
    }

    private void AddShared(MlpWeights weights, CpuMatrix? gate, CpuBuffer x, CpuBuffer output)
    {
        if (gate is null)
        {
            Mlp(weights, x, output, accumulate: true);
            return;
        }

        Mlp(weights, x, _expertOutput, accumulate: false);
        gate.Multiply(x.Span, x.Rows, _router.Resize(x.Rows, 1).Span, pool, accumulate: false);
        for (var token = 0; token < x.Rows; token++)
        {
            var share = 1 / (1 + MathF.Exp(-_router.Row(token)[0]));
            var row = output.Row(token);
            TensorPrimitives.MultiplyAdd(_expertOutput.Row(token), share, row, row);
        }
    }
}
