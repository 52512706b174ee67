namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Weights that follow the text: after each token w_k becomes w_k^gamma p_k(x_t), normalised, then (1 - share) w_k + share / K
/// (Herbster and Warmuth 1998). gamma = 1 without share is the exact Bayes mixture of sequences.</summary>
public sealed class PosteriorWeights
{
    private readonly double[] _weights;
    private readonly double _temper, _share;

    /// <summary>Starts at a prior. Errors: negative weights or none, a temper below 0, a share outside [0, 1].</summary>
    public PosteriorWeights(IReadOnlyList<double> prior, double temper = 1, double share = 0)
    {
        var sum = prior.Sum();
        if (prior.Any(weight => !(weight >= 0)) || !(sum > 0) || !(temper >= 0) || !(share is >= 0 and <= 1))
            throw new LearningException(LearningError.InvalidInput,
                $"a prior [{string.Join(", ", prior)}] with temper {temper} and share {share}; wanted weights of at least 0, temper of at least 0, share from 0 to 1");
        (_weights, _temper, _share) = ([.. prior.Select(weight => weight / sum)], temper, share);
    }

    /// <summary>The weights of the next token.</summary>
    public IReadOnlyList<double> Current => _weights;

    /// <summary>Takes a token in: returns its log-probability under the weights so far, ln sum_k w_k p_k, and moves the weights.</summary>
    /// <param name="logProbs">ln p_k of the token, one per member.</param>
    /// <exception cref="LearningException">Every member of positive weight gives the token probability 0.</exception>
    public double Observe(ReadOnlySpan<double> logProbs)
    {
        var most = double.NegativeInfinity;
        for (var k = 0; k < _weights.Length; k++)
            most = _weights[k] > 0 ? Math.Max(most, logProbs[k]) : most;
        if (!double.IsFinite(most))
            throw new LearningException(LearningError.ZeroProbability, "every member of positive weight gives the token probability 0");
        var (mixture, sum) = (0.0, 0.0);
        for (var k = 0; k < _weights.Length; k++)
        {
            var p = Math.Exp(logProbs[k] - most);
            mixture += _weights[k] * p;
            sum += _weights[k] = _weights[k] > 0 ? Math.Pow(_weights[k], _temper) * p : 0;
        }

        for (var k = 0; k < _weights.Length; k++)
            _weights[k] = ((1 - _share) * _weights[k] / sum) + (_share / _weights.Length);
        return most + Math.Log(mixture);
    }
}
