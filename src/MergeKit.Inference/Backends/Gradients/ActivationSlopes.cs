using MergeKit.Core.Architectures;
using MathNet.Numerics;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Derivatives of the pointwise functions.</summary>
internal static class ActivationSlopes
{
    private const double GeluTanhCubic = 0.044715, QuickGeluFactor = 1.702;

    /// <summary>f'(x).</summary>
    public static float At(Activation activation, float x) => activation switch
    {
        Activation.Silu => (float)Swish(x, 1),
        Activation.QuickGelu => (float)Swish(x, QuickGeluFactor),
        Activation.Gelu => (float)Gelu(x),
        Activation.GeluTanh => (float)GeluTanh(x),
        Activation.Relu => x > 0 ? 1 : 0,
        Activation.ReluSquared => 2 * MathF.Max(x, 0),
        Activation.Tanh => (float)(1 - Math.Pow(Math.Tanh(x), 2)),
        _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, null),
    };

    /// <summary>1 / (1 + e^-x).</summary>
    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>Of x s(b x): s + b x s (1 - s).</summary>
    private static double Swish(double x, double b)
    {
        var s = Sigmoid(b * x);
        return s + b * x * s * (1 - s);
    }

    /// <summary>Of x Phi(x): Phi(x) + x phi(x).</summary>
    private static double Gelu(double x) =>
        0.5 * SpecialFunctions.Erfc(-x / Math.Sqrt(2)) + x * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);

    private static double GeluTanh(double x)
    {
        var factor = Math.Sqrt(2 / Math.PI);
        var t = Math.Tanh(factor * (x + GeluTanhCubic * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * factor * (1 + 3 * GeluTanhCubic * x * x);
    }
}
