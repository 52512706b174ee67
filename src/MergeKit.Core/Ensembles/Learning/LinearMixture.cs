namespace MergeKit.Core.Ensembles.Learning;

/// <summary>The likelihood of a linear mixture as a function of its weights: L(w) = mean_t ln sum_k w_k p_k(y_t), concave on the simplex.
/// Each row is scaled by its largest probability, so that nothing underflows.</summary>
internal sealed class LinearMixture
{
    private readonly double[] _p;
    private readonly double _offset;

    public LinearMixture(GoldLogProbs scores)
    {
        (Positions, Members) = (scores.Positions, scores.Members);
        _p = new double[Positions * Members];
        for (var t = 0; t < Positions; t++)
        {
            var row = scores[t];
            var most = double.NegativeInfinity;
            foreach (var value in row)
                most = Math.Max(most, value);
            _offset += most / Positions;
            for (var k = 0; k < Members; k++)
                _p[(t * Members) + k] = Math.Exp(row[k] - most);
        }
    }

    public int Positions { get; }

    public int Members { get; }

    /// <summary>L(w), and g_k = mean_t p_k / m, its gradient; m is the mixture's probability.</summary>
    /// <exception cref="LearningException">The mixture gives a position probability 0.</exception>
    public double Evaluate(ReadOnlySpan<double> weights, Span<double> ratios)
    {
        ratios.Clear();
        var sum = 0.0;
        for (var t = 0; t < Positions; t++)
        {
            var row = _p.AsSpan(t * Members, Members);
            var mixture = 0.0;
            for (var k = 0; k < Members; k++)
                mixture += weights[k] * row[k];
            if (!(mixture > 0))
                throw new LearningException(LearningError.ZeroProbability, $"position {t + 1}: the members of positive weight give the gold token probability 0");
            sum += Math.Log(mixture);
            for (var k = 0; k < Members; k++)
                ratios[k] += row[k] / mixture;
        }

        for (var k = 0; k < Members; k++)
            ratios[k] /= Positions;
        return _offset + (sum / Positions);
    }

    /// <summary>The ratios p_k / m of every position, [positions, members].</summary>
    public double[] Ratios(ReadOnlySpan<double> weights)
    {
        var ratios = new double[_p.Length];
        for (var t = 0; t < Positions; t++)
        {
            var mixture = 0.0;
            for (var k = 0; k < Members; k++)
                mixture += weights[k] * _p[(t * Members) + k];
            for (var k = 0; k < Members; k++)
                ratios[(t * Members) + k] = _p[(t * Members) + k] / mixture;
        }

        return ratios;
    }

    /// <summary>One step of EM in place, w_k = w_k g_k; g belongs to these weights.</summary>
    public static void Step(Span<double> weights, ReadOnlySpan<double> ratios)
    {
        var sum = 0.0;
        for (var k = 0; k < weights.Length; k++)
            sum += weights[k] *= ratios[k];
        for (var k = 0; k < weights.Length; k++)
            weights[k] /= sum;
    }

    /// <summary>ln max_k g_k: at most so much log-likelihood is still to be gained (Cover 1984).</summary>
    public static double Gap(ReadOnlySpan<double> ratios)
    {
        var most = 0.0;
        foreach (var ratio in ratios)
            most = Math.Max(most, ratio);
        return Math.Log(most);
    }
}
