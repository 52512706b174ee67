using System.Numerics.Tensors;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Operations on single vectors.</summary>
internal static class VectorOps
{
    /// <summary>y = x / sqrt(mean(x^2) + epsilon) * weight. <paramref name="y"/> may be <paramref name="x"/>.</summary>
    public static void RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> y)
    {
        var scale = 1 / MathF.Sqrt(TensorPrimitives.SumOfSquares(x) / x.Length + epsilon);
        TensorPrimitives.Multiply(x, scale, y);
        TensorPrimitives.Multiply(y, weight, y);
    }

    /// <summary>y = (x - mean) / sqrt(var + epsilon) * weight + bias; an empty bias counts as 0. <paramref name="y"/> may be <paramref name="x"/>.</summary>
    public static void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> y)
    {
        TensorPrimitives.Subtract(x, TensorPrimitives.Sum(x) / x.Length, y);
        var scale = 1 / MathF.Sqrt(TensorPrimitives.SumOfSquares<float>(y) / y.Length + epsilon);
        TensorPrimitives.Multiply(y, scale, y);
        TensorPrimitives.Multiply(y, weight, y);
        if (!bias.IsEmpty)
            TensorPrimitives.Add(y, bias, y);
    }

    /// <summary>y = x sigmoid(x). <paramref name="y"/> may not be <paramref name="x"/>.</summary>
    public static void Silu(ReadOnlySpan<float> x, Span<float> y)
    {
        TensorPrimitives.Sigmoid(x, y);
        TensorPrimitives.Multiply(x, y, y);
    }

    /// <summary>y = x sigmoid(1.702 x). <paramref name="y"/> may not be <paramref name="x"/>.</summary>
    public static void QuickGelu(ReadOnlySpan<float> x, Span<float> y)
    {
        TensorPrimitives.Multiply(x, 1.702f, y);
        TensorPrimitives.Sigmoid<float>(y, y);
        TensorPrimitives.Multiply(x, y, y);
    }

    /// <summary>y = x Phi(x).</summary>
    public static void Gelu(ReadOnlySpan<float> x, Span<float> y)
    {
        for (var i = 0; i < x.Length; i++)
            y[i] = (float)(0.5 * x[i] * (1 + Erf(x[i] * 0.70710678118654752)));
    }

    /// <summary>y = 0.5 x (1 + tanh(u)) = x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3). <paramref name="y"/> may not be <paramref name="x"/>.</summary>
    public static void GeluTanh(ReadOnlySpan<float> x, Span<float> y)
    {
        const float scale = 2 * 0.7978845608f;
        TensorPrimitives.Multiply(x, x, y);
        TensorPrimitives.Multiply(y, scale * 0.044715f, y);
        TensorPrimitives.Add(y, scale, y);
        TensorPrimitives.Multiply(y, x, y);
        TensorPrimitives.Sigmoid<float>(y, y);
        TensorPrimitives.Multiply(x, y, y);
    }

    /// <summary>Exponentials that sum to 1.</summary>
    public static void Softmax(Span<float> x)
    {
        TensorPrimitives.Subtract(x, TensorPrimitives.Max<float>(x), x);
        TensorPrimitives.Exp<float>(x, x);
        TensorPrimitives.Multiply(x, 1 / TensorPrimitives.Sum<float>(x), x);
    }

    /// <summary>The error function, to about 1e-7 (a Chebyshev fit of erfc(x) exp(x^2)).</summary>
    public static double Erf(double x)
    {
        var t = 1 / (1 + 0.5 * Math.Abs(x));
        ReadOnlySpan<double> c =
        [
            -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277,
        ];
        var sum = 0.0;
        for (var i = c.Length - 1; i >= 0; i--)
            sum = sum * t + c[i];
        var tail = t * Math.Exp(sum - x * x);
        return x >= 0 ? 1 - tail : tail - 1;
    }
}
