namespace MergeKit.Inference.Tests.Support;

/// <summary>The mathematics of transformers in double precision and plain loops, from which tests spell out whole architectures
/// without the declarations, loaders and kernels under test. A sequence is one row per token.</summary>
public sealed class Naive(RandomWeights weights)
{
    public float[] Weight(string name) => weights[name];

    public double[][] Embed(string name, IReadOnlyList<int> rows, int width)
    {
        var table = Weight(name);
        return [.. rows.Select(row => Enumerable.Range(0, width).Select(i => (double)table[row * width + i]).ToArray())];
    }

    /// <summary>x W^T, plus the bias where one is stored.</summary>
    public double[][] Linear(string name, double[][] x, string? bias = null)
    {
        var w = Weight(name + ".weight");
        var b = weights.TryGet(bias ?? name + ".bias", out _) ? Weight(bias ?? name + ".bias") : null;
        var (columns, rows) = (x[0].Length, w.Length / x[0].Length);
        return Map(x, row => [.. Enumerable.Range(0, rows).Select(o =>
            Enumerable.Range(0, columns).Sum(i => row[i] * w[o * columns + i]) + (b?[o] ?? 0))]);
    }

    public double[][] Rms(string name, double[][] x, double epsilon) => Map(x, row => RmsRow(row, Weight(name + ".weight"), epsilon));

    public double[][] Layer(string name, double[][] x, double epsilon)
    {
        var bias = weights.TryGet(name + ".bias", out _) ? Weight(name + ".bias") : null;
        return Map(x, row => LayerRow(row, Weight(name + ".weight"), bias, epsilon));
    }

    public static double[] RmsRow(double[] row, float[] weight, double epsilon)
    {
        var scale = 1 / Math.Sqrt(row.Average(value => value * value) + epsilon);
        return [.. row.Select((value, i) => value * scale * weight[i])];
    }

    public static double[] LayerRow(double[] row, float[] weight, float[]? bias, double epsilon)
    {
        var mean = row.Average();
        var scale = 1 / Math.Sqrt(row.Average(value => (value - mean) * (value - mean)) + epsilon);
        return [.. row.Select((value, i) => (value - mean) * scale * weight[i] + (bias?[i] ?? 0))];
    }

    /// <summary>Splits each row into heads and changes each of them.</summary>
    public static double[][] Heads(double[][] x, int width, Func<int, double[], double[]> change) =>
        Map(x, row => [.. row.Chunk(width).SelectMany((head, index) => change(index, head))]);

    /// <summary>Rotates the first <paramref name="dim"/> elements of each head, pairs at a distance of dim / 2 or side by side.</summary>
    public static double[][] Rotate(double[][] x, int width, int dim, double theta, bool interleaved = false, int from = 0) =>
        [.. x.Select((row, position) => row.Chunk(width).SelectMany(head => RotateHead(head, position, dim, theta, interleaved, from)).ToArray())];

    /// <summary>Softmax attention; query head h reads key head h / (heads / kv heads).</summary>
    public static double[][] Attend(
        double[][] q, double[][] k, double[][] v, int heads, int kvHeads, int width, int valueWidth, double scale, bool causal = true, int window = int.MaxValue) =>
        [.. q.Select((query, i) => Enumerable.Range(0, heads).SelectMany(head =>
        {
            var kv = head / (heads / kvHeads);
            var seen = Enumerable.Range(0, k.Length).Where(j => !causal || (j <= i && i - j < window)).ToArray();
            var scores = seen.Select(j => scale * Enumerable.Range(0, width).Sum(d => query[head * width + d] * k[j][kv * width + d])).ToArray();
            var exponentials = scores.Select(score => Math.Exp(score - scores.Max())).ToArray();
            return Enumerable.Range(0, valueWidth).Select(d => seen.Select((j, n) => exponentials[n] / exponentials.Sum() * v[j][kv * valueWidth + d]).Sum());
        }).ToArray())];

    public double[][] Gated(string prefix, double[][] x) => Linear(
        prefix + "down_proj", Times(Map(Linear(prefix + "gate_proj", x), row => [.. row.Select(Silu)]), Linear(prefix + "up_proj", x)));

    public static double Silu(double x) => x / (1 + Math.Exp(-x));

    /// <summary>x Phi(x); Phi by numerical integration of the normal density.</summary>
    public static double Gelu(double x)
    {
        const int steps = 2000;
        var sum = Enumerable.Range(0, steps).Sum(i => Math.Exp(-0.5 * Math.Pow((i + 0.5) / steps * x, 2))) * x / steps;
        return x * (0.5 + sum / Math.Sqrt(2 * Math.PI));
    }

    public static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

    public static double[][] Map(double[][] x, Func<double[], double[]> change) => [.. x.Select(change)];

    public static double[][] Add(params double[][][] terms) =>
        [.. Enumerable.Range(0, terms[0].Length).Select(t => Enumerable.Range(0, terms[0][t].Length).Select(i => terms.Sum(term => term[t][i])).ToArray())];

    public static double[][] Times(double[][] a, double[][] b) => [.. a.Zip(b, (x, y) => x.Zip(y, (p, q) => p * q).ToArray())];

    public static double[][] Columns(double[][] x, int start, int count) => Map(x, row => row.AsSpan(start, count).ToArray());

    public static float[] Flat(double[][] x) => [.. x.SelectMany(row => row).Select(value => (float)value)];

    private static double[] RotateHead(double[] head, int position, int dim, double theta, bool interleaved, int from)
    {
        var result = (double[])head.Clone();
        for (var i = 0; i < dim / 2; i++)
        {
            var (a, b) = interleaved ? (from + 2 * i, from + 2 * i + 1) : (from + i, from + i + dim / 2);
            var (sin, cos) = Math.SinCos(position * Math.Pow(theta, -2.0 * i / dim));
            (result[a], result[b]) = (head[a] * cos - head[b] * sin, head[b] * cos + head[a] * sin);
        }

        return result;
    }
}
