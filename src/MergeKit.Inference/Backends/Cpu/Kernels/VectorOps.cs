namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Operations on single vectors, to about 1e-6 of the result. An output may be an input itself, but not overlap it otherwise.</summary>
internal static class VectorOps
{
    private static readonly VectorOperations Best = VectorOperations.For(InstructionPaths.Best);

    /// <summary>y = x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019).</summary>
    public static void RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> y) => Best.RmsNorm(x, weight, epsilon, y);

    /// <summary>y = (x - mean) / sqrt(variance + epsilon) * weight + bias; an empty bias counts as 0 (Ba et al. 2016).</summary>
    public static void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> y) =>
        Best.LayerNorm(x, weight, bias, epsilon, y);

    /// <summary>x = x sigmoid(x).</summary>
    public static void Silu(Span<float> x) => Best.Map(VectorFunction.Silu, x);

    /// <summary>x = x sigmoid(1.702 x).</summary>
    public static void QuickGelu(Span<float> x) => Best.Map(VectorFunction.QuickGelu, x);

    /// <summary>x = x Phi(x), Phi the standard normal distribution function.</summary>
    public static void Gelu(Span<float> x) => Best.Map(VectorFunction.Gelu, x);

    /// <summary>x = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).</summary>
    public static void GeluTanh(Span<float> x) => Best.Map(VectorFunction.GeluTanh, x);

    /// <summary>x = tanh(x).</summary>
    public static void Tanh(Span<float> x) => Best.Map(VectorFunction.Tanh, x);

    /// <summary>y = f(gate) up (Shazeer 2020).</summary>
    public static void Gated(VectorFunction function, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y) => Best.MapGated(function, gate, up, y);

    /// <summary>x = e^x / sum e^x. Negative infinities become 0; if there is nothing else, all do.</summary>
    public static void Softmax(Span<float> x) => Best.Softmax(x);

    /// <summary>Takes a chunk of a row of logits into account, the first of which belongs to id <paramref name="first"/>. Chunks come in ascending order.</summary>
    public static void Accumulate(ReadOnlySpan<float> logits, int first, ref LogSumExp state) => Best.Accumulate(logits, first, ref state);
}

/// <summary>The functions of one value that <see cref="VectorOps"/> knows.</summary>
internal enum VectorFunction
{
    /// <summary>x sigmoid(x).</summary>
    Silu,

    /// <summary>x sigmoid(1.702 x).</summary>
    QuickGelu,

    /// <summary>x Phi(x).</summary>
    Gelu,

    /// <summary>GELU's approximation by tanh.</summary>
    GeluTanh,

    /// <summary>tanh(x).</summary>
    Tanh,
}

/// <summary>What is known of a row of logits after some chunks: ln sum e^x and the largest logit's id, without ever holding the row.</summary>
internal struct LogSumExp
{
    /// <summary>Nothing seen.</summary>
    public LogSumExp()
    {
    }

    /// <summary>The largest logit.</summary>
    public float Maximum { get; set; } = float.NegativeInfinity;

    /// <summary>The sum of e^(x - Maximum).</summary>
    public double Sum { get; set; }

    /// <summary>The id of the largest logit, the lowest of equals; -1 while there is none above negative infinity.</summary>
    public int ArgMax { get; set; } = -1;

    /// <summary>ln sum e^x; negative infinity for nothing; NaN if a logit was.</summary>
    public readonly double Value => Sum == 0 ? double.NegativeInfinity : Maximum + Math.Log(Sum);
}
