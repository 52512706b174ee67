using System.Numerics.Tensors;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Balancing without an auxiliary loss (Wang et al. 2024, arXiv 2408.15664): a bias that only steers the choice is moved against the load.</summary>
public static class BiasBalancing
{
    /// <summary>Repeats: load by the top k of sigmoid(z) + b, then b += step sign(mean load - load).</summary>
    /// <param name="logits">Rows of logits, one per token.</param>
    /// <param name="k">Experts per token.</param>
    /// <param name="step">How far the bias moves each time.</param>
    /// <param name="iterations">How often.</param>
    /// <returns>The bias, and the loads before the first and the last move.</returns>
    public static (double[] Bias, double[] FirstLoad, double[] LastLoad) Fit(IReadOnlyList<double[]> logits, int k, double step, int iterations)
    {
        var experts = logits[0].Length;
        var scores = logits.Select(row => row.Select(z => 1 / (1 + Math.Exp(-z))).ToArray()).ToList();
        var (bias, first, last) = (new double[experts], new double[experts], new double[experts]);
        for (var i = 0; i < iterations; i++)
        {
            last = Load(scores, bias, k);
            first = i == 0 ? last : first;
            var mean = last.Average();
            for (var e = 0; e < experts; e++)
                bias[e] += step * Math.Sign(mean - last[e]);
        }

        return (bias, first, last);
    }

    private static double[] Load(List<double[]> scores, double[] bias, int k)
    {
        var (load, ranking) = (new double[bias.Length], new double[bias.Length]);
        foreach (var row in scores)
        {
            TensorPrimitives.Add(row, bias, ranking);
            for (var i = 0; i < k; i++)
            {
                var best = TensorPrimitives.IndexOfMax<double>(ranking);
                load[best]++;
                ranking[best] = double.NegativeInfinity;
            }
        }

        return load;
    }
}
