namespace MergeKit.Core.Ensembles.Learning;

/// <summary>What a gate gives at some positions, and how its mean log-likelihood changes with its parameters.</summary>
/// <param name="Gates">[positions][members], each row on the simplex.</param>
/// <param name="MixtureLogProbs">ln sum_k g_k p_k(y_t).</param>
/// <param name="MeanLogLikelihood">Their mean.</param>
/// <param name="WeightGradient">[members][features].</param>
/// <param name="BiasGradient">[members].</param>
public sealed record GatePoint(double[][] Gates, double[] MixtureLogProbs, double MeanLogLikelihood, double[][] WeightGradient, double[] BiasGradient);

/// <summary>A context-dependent linear mixture: g = softmax(W phi + b) (a mixture of experts whose experts are fixed).</summary>
/// <param name="Weights">W, [members][features].</param>
/// <param name="Bias">b, [members].</param>
public sealed record Gate(IReadOnlyList<double[]> Weights, IReadOnlyList<double> Bias)
{
    /// <summary>The mixture weights for one vector of features.</summary>
    public double[] Mix(ReadOnlySpan<double> features)
    {
        var gates = new double[Bias.Count];
        for (var k = 0; k < gates.Length; k++)
        {
            gates[k] = Bias[k];
            for (var f = 0; f < features.Length; f++)
                gates[k] += Weights[k][f] * features[f];
        }

        var most = gates.Max();
        var sum = 0.0;
        for (var k = 0; k < gates.Length; k++)
            sum += gates[k] = Math.Exp(gates[k] - most);
        for (var k = 0; k < gates.Length; k++)
            gates[k] /= sum;
        return gates;
    }

    /// <summary>Values and gradients; the gradient in W phi + b is the posterior of the members minus the gate.</summary>
    public GatePoint Evaluate(IReadOnlyList<double[]> features, GoldLogProbs scores)
    {
        Check(features, scores);
        var (members, width) = (Bias.Count, Weights[0].Length);
        var (gates, logProbs) = (new double[scores.Positions][], new double[scores.Positions]);
        var (weightGradient, biasGradient) = (Weights.Select(_ => new double[width]).ToArray(), new double[members]);
        for (var t = 0; t < scores.Positions; t++)
        {
            gates[t] = Mix(features[t]);
            var row = scores[t];
            var most = double.NegativeInfinity;
            for (var k = 0; k < members; k++)
                most = gates[t][k] > 0 ? Math.Max(most, row[k]) : most;
            var sum = 0.0;
            for (var k = 0; k < members; k++)
                sum += gates[t][k] * Math.Exp(row[k] - most);
            logProbs[t] = double.IsFinite(most) ? most + Math.Log(sum)
                : throw new LearningException(LearningError.ZeroProbability, $"position {t + 1}: the gate gives the gold token probability 0");
            for (var k = 0; k < members; k++)
            {
                var pull = ((gates[t][k] * Math.Exp(row[k] - most) / sum) - gates[t][k]) / scores.Positions;
                biasGradient[k] += pull;
                for (var f = 0; f < width; f++)
                    weightGradient[k][f] += pull * features[t][f];
            }
        }

        return new GatePoint(gates, logProbs, logProbs.Average(), weightGradient, biasGradient);
    }

    /// <summary>Learns W and b by L-BFGS with ridge (l2 / 2) |W|^2; the biases start at the logarithms of <paramref name="start"/> and are free.</summary>
    public static Gate Fit(IReadOnlyList<double[]> features, GoldLogProbs scores, double l2, IReadOnlyList<double> start)
    {
        var (members, width) = (scores.Members, features[0].Length);
        double[] point = [.. new double[members * width], .. start.Select(weight => Math.Log(Math.Max(weight, 1e-4)))];
        var found = LimitedMemoryBfgs.Maximize((x, gradient) =>
        {
            var at = Unpack(x).Evaluate(features, scores);
            var penalty = 0.0;
            for (var i = 0; i < members * width; i++)
            {
                gradient[i] = at.WeightGradient[i / width][i % width] - (l2 * x[i]);
                penalty += l2 / 2 * x[i] * x[i];
            }

            at.BiasGradient.CopyTo(gradient, members * width);
            return at.MeanLogLikelihood - penalty;
        }, point, tolerance: 1e-7, maxIterations: 300);
        return Unpack(found.Point);

        Gate Unpack(double[] x) =>
            new([.. Enumerable.Range(0, members).Select(k => x[(k * width)..((k + 1) * width)])], x[(members * width)..]);
    }

    private void Check(IReadOnlyList<double[]> features, GoldLogProbs scores)
    {
        var width = Weights.Count > 0 ? Weights[0].Length : 0;
        if (Weights.Count != scores.Members || Bias.Count != scores.Members || features.Count != scores.Positions
            || Weights.Any(row => row.Length != width) || features.Any(row => row.Length != width))
            throw new LearningException(LearningError.InvalidInput,
                $"a gate of {Weights.Count} x {width} with {Bias.Count} biases does not fit {scores.Positions} positions of {scores.Members} members with {features.Count} rows of features");
    }
}
