using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Norms. With n = (x - mean) / sd (mean 0 for RMS), y = w n + b and g = w dy: dx += (g - mean(g) - n mean(g n)) / sd, without mean(g) for RMS;
/// dw += dy n, db += dy. A constant added to w changes nothing of that.</summary>
internal static class NormSteps
{
    /// <summary>norm(x), or x itself where there is no norm.</summary>
    public static TapeValue Norm(this Tape tape, NormWeights? norm, TapeValue x)
    {
        if (norm is null)
            return x;
        var y = tape.Value(x.Rows, x.Columns);
        tape.Pool.For(x.Rows, (row, _) => CpuNorm.Apply(norm, x.Row(row), y.Row(row)));
        return tape.Record(y, () => Back(norm, x, y, tape.Parameters));
    }

    private static void Back(NormWeights norm, TapeValue x, TapeValue y, ParameterGradients parameters)
    {
        var (size, group) = (norm.Spec.Size, norm.Spec.GroupSize);
        var (weights, biases) = (new double[size], new double[size]);
        for (var row = 0; row < x.Rows; row++)
            for (var start = 0; start < x.Columns; start += group)
                BackGroup(norm, start % size, x.Row(row).Slice(start, group), y.GradientRow(row).Slice(start, group), x.GradientRow(row).Slice(start, group), weights, biases);
        var names = norm.Spec.Parts ?? [norm.Spec.Name];
        for (var part = 0; part < names.Count; part++)
        {
            var (first, count) = (part * (size / names.Count), size / names.Count);
            Add(parameters.Of(names[part] + ".weight", 0, count), weights.AsSpan(first, count));
            if (norm.Spec.HasBias)
                Add(parameters.Of(names[part] + ".bias", 0, count), biases.AsSpan(first, count));
        }
    }

    private static void BackGroup(NormWeights norm, int at, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx, double[] weights, double[] biases)
    {
        var (sum, squares, count) = (0.0, 0.0, x.Length);
        if (norm.Spec.Kind == NormKind.Layer)
            foreach (var value in x)
                sum += value;
        var mean = sum / count;
        foreach (var value in x)
            squares += (value - mean) * (value - mean);
        var inverse = 1 / Math.Sqrt(squares / count + norm.Spec.Epsilon);
        var (gradients, products) = (0.0, 0.0);
        for (var i = 0; i < count; i++)
        {
            var (n, g) = ((x[i] - mean) * inverse, (double)norm.Weight[at + i] * dy[i]);
            gradients += g;
            products += g * n;
            weights[at + i] += dy[i] * n;
            biases[at + i] += dy[i];
        }

        gradients = norm.Spec.Kind == NormKind.Layer ? gradients / count : 0;
        products /= count;
        for (var i = 0; i < count; i++)
            dx[i] += (float)(inverse * ((double)norm.Weight[at + i] * dy[i] - gradients - (x[i] - mean) * inverse * products));
    }

    private static void Add(Span<float> gradient, ReadOnlySpan<double> values)
    {
        for (var i = 0; i < gradient.Length; i++)
            gradient[i] += (float)values[i];
    }
}
