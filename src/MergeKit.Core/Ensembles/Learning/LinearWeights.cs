namespace MergeKit.Core.Ensembles.Learning;

/// <summary>The weights of every step of EM, and what they reach.</summary>
/// <param name="Trajectory">Weights; the first entry is the start.</param>
/// <param name="MeanLogLikelihood">L at each entry of the trajectory, in nats per position.</param>
/// <param name="UpperBoundGap">ln max_k g_k at the last entry: L* - L is at most this.</param>
public sealed record EmTrace(IReadOnlyList<double[]> Trajectory, IReadOnlyList<double> MeanLogLikelihood, double UpperBoundGap);

/// <summary>The best weights of a linear mixture.</summary>
/// <param name="Weights">On the simplex.</param>
/// <param name="MeanLogLikelihood">Nats per position.</param>
/// <param name="Kkt">g_k = mean_t p_k / m: 1 where the weight is positive, at most 1 where it is 0.</param>
/// <param name="Gap">The certificate: L* - L is at most this.</param>
/// <param name="Iterations">Steps of EM and of Newton.</param>
public sealed record LinearFit(double[] Weights, double MeanLogLikelihood, double[] Kkt, double Gap, int Iterations);

/// <summary>Weights of a linear mixture by expectation maximisation, L(w) = mean_t ln sum_k w_k p_k(y_t) (Jelinek and Mercer 1980; the bound: Cover 1984).</summary>
public static class LinearWeights
{
    private const int FirstSteps = 20, MostSteps = 20_000;

    /// <summary>Plain EM: w_k = mean_t w_k p_k / m, a given number of times. L never falls. Errors: as for <see cref="GoldLogProbs.Of"/>, and a start off the simplex.</summary>
    public static EmTrace Trace(GoldLogProbs scores, IReadOnlyList<double> start, int iterations)
    {
        CheckStart(scores, start);
        var mixture = new LinearMixture(scores);
        var (weights, ratios) = (start.ToArray(), new double[scores.Members]);
        var (trajectory, values) = (new List<double[]> { start.ToArray() }, new List<double> { mixture.Evaluate(weights, ratios) });
        for (var i = 0; i < iterations; i++)
        {
            LinearMixture.Step(weights, ratios);
            trajectory.Add([.. weights]);
            values.Add(mixture.Evaluate(weights, ratios));
        }

        return new EmTrace(trajectory, values, LinearMixture.Gap(ratios));
    }

    /// <summary>The optimum. EM climbs from uniform weights; since its last digits come slowly, steps of Newton's method within the simplex follow, each kept only
    /// if L rises. Ends when the certificate says that at most <paramref name="tolerance"/> nats per position are left.</summary>
    public static LinearFit Fit(GoldLogProbs scores, double tolerance = 1e-12)
    {
        var mixture = new LinearMixture(scores);
        var (weights, ratios) = (new double[scores.Members], new double[scores.Members]);
        Array.Fill(weights, 1.0 / scores.Members);
        var value = mixture.Evaluate(weights, ratios);
        var steps = 0;
        while (LinearMixture.Gap(ratios) > tolerance && steps < MostSteps)
        {
            steps++;
            if (steps > FirstSteps && SimplexNewton.Step(mixture, weights, ratios, value) is { } better)
            {
                better.CopyTo(weights, 0);
            }
            else
            {
                LinearMixture.Step(weights, ratios);
            }

            var next = mixture.Evaluate(weights, ratios);
            if (steps > 2 * FirstSteps && next <= value && LinearMixture.Gap(ratios) < 1e-9)
                break; // what is left is below rounding
            value = next;
        }

        return new LinearFit(weights, value, ratios, LinearMixture.Gap(ratios), steps);
    }

    private static void CheckStart(GoldLogProbs scores, IReadOnlyList<double> start)
    {
        if (start.Count != scores.Members || start.Any(weight => !(weight >= 0)) || Math.Abs(start.Sum() - 1) > 1e-6)
            throw new LearningException(
                LearningError.InvalidInput, $"EM starts at [{string.Join(", ", start)}]; wanted {scores.Members} weights of at least 0 that sum to 1");
    }
}
