using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Feed-forward blocks.</summary>
internal static class FeedForwardSteps
{
    private const double ClampedFactor = 1.702;

    /// <summary>down(act(gate) x up), or down(act(up)).</summary>
    public static TapeValue Mlp(this Tape tape, MlpWeights weights, TapeValue x)
    {
        var wide = tape.Linear(weights.Input, x);
        return tape.Linear(weights.Down, weights.Gate == GateKind.None ? tape.Activate(weights.Activation, wide) : Gated(tape, weights, wide));
    }

    private static TapeValue Gated(Tape tape, MlpWeights weights, TapeValue wide)
    {
        var half = weights.Intermediate;
        if (weights.Gate == GateKind.Interleaved)
            wide = tape.Select(wide, [.. Enumerable.Range(0, half).Select(i => 2 * i), .. Enumerable.Range(0, half).Select(i => 2 * i + 1)]);
        var (y, halves) = (tape.Value(wide.Rows, half), weights with { Gate = GateKind.Halves });
        tape.Pool.For(wide.Rows, (row, _) => CpuFeedForward.Gate(halves, wide.Row(row).ToArray(), y.Row(row)));
        return tape.Record(y, () =>
        {
            _ = wide.Gradient;
            tape.Pool.For(wide.Rows, (row, _) =>
            {
                if (weights.ClampedLimit is { } limit)
                    BackClamped(limit, wide.Row(row), y.GradientRow(row), wide.GradientRow(row));
                else
                    BackGate(weights.Activation, wide.Row(row), y.GradientRow(row), wide.GradientRow(row));
            });
        });
    }

    private static void BackGate(Activation activation, Span<float> wide, Span<float> dy, Span<float> gradient)
    {
        var half = dy.Length;
        var active = wide[..half].ToArray();
        CpuFeedForward.Activate(activation, active);
        for (var i = 0; i < half; i++)
            gradient[i] += dy[i] * wide[half + i] * ActivationSlopes.At(activation, wide[i]);
        TensorPrimitives.MultiplyAdd(dy, active, gradient[half..], gradient[half..]);
    }

    /// <summary>Of (clamp(up) + 1) g s(1.702 g) with g = min(gate, limit); nothing passes where a clamp holds.</summary>
    private static void BackClamped(float limit, Span<float> wide, Span<float> dy, Span<float> gradient)
    {
        var half = dy.Length;
        for (var i = 0; i < half; i++)
        {
            var (gate, up) = (MathF.Min(wide[i], limit), Math.Clamp(wide[half + i], -limit, limit));
            if (wide[i] <= limit)
                gradient[i] += dy[i] * (up + 1) * ActivationSlopes.At(Activation.QuickGelu, gate);
            if (MathF.Abs(wide[half + i]) <= limit)
                gradient[half + i] += dy[i] * (float)(gate * ActivationSlopes.Sigmoid(ClampedFactor * gate));
        }
    }
}
