using System.Numerics.Tensors;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Makes given gates fit for use without training: the bias that a router lacks, and the temperature.</summary>
public static class GateCalibration
{
    private const double LeastLog = -20, MostLog = 20;
    private const int Halvings = 100;

    /// <summary>g - (g . m / m . m) m for every row g. A router without bias cannot subtract g . m, what it gives to the mean state m;
    /// taking m's direction out of every row does it nearly. (Taking one vector from all rows would change nothing under softmax.)</summary>
    public static void RemoveMean(IReadOnlyList<double[]> gates, ReadOnlySpan<double> mean)
    {
        var square = TensorPrimitives.SumOfSquares(mean);
        if (square == 0)
            return;
        foreach (var row in gates)
            TensorPrimitives.MultiplyAdd(mean, -TensorPrimitives.Dot(row, mean) / square, row, row);
    }

    /// <summary>Mean entropy, in nats, of softmax(s z) over rows z of logits.</summary>
    public static double MeanEntropy(IReadOnlyList<double[]> logits, double scale)
    {
        var (sum, p) = (0.0, new double[logits[0].Length]);
        foreach (var row in logits)
        {
            TensorPrimitives.Multiply(row, scale, p);
            ExpertRouting.Softmax<double>(p);
            sum += RouterStatistics.Entropy(p);
        }

        return sum / logits.Count;
    }

    /// <summary>The scale at which the mean entropy is the target. It falls with the scale, d/ds mean H = -s mean Var(z), so halving finds it.</summary>
    /// <param name="logits">Rows of logits at scale 1.</param>
    /// <param name="target">Nats, between 0 and ln experts.</param>
    public static double ScaleForEntropy(IReadOnlyList<double[]> logits, double target)
    {
        var (low, high) = (LeastLog, MostLog);
        for (var i = 0; i < Halvings; i++)
        {
            var middle = (low + high) / 2;
            (low, high) = MeanEntropy(logits, Math.Exp(middle)) > target ? (middle, high) : (low, middle);
        }

        return Math.Exp((low + high) / 2);
    }
}
