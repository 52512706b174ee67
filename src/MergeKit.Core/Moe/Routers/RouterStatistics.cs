using System.Numerics.Tensors;
using MergeKit.Core.Architectures;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Collects what the router of one layer does with many tokens.</summary>
/// <remarks>With T tokens, E experts, k of them chosen, p the routing probabilities (softmax of the logits; with sigmoid scores these over their sum):
/// <list type="bullet">
/// <item>load_e = times that e is chosen; importance_e = sum of its renormalised weights; CV^2 = population variance / mean^2.</item>
/// <item>Switch loss (Fedus et al. 2021, arXiv 2101.03961): E sum_e f_e P_e, f the share of tokens whose first choice is e, P the mean of p; 1 at balance.
/// Top-k loss: the same with f = load / T, k at balance, as Transformers has it; divided by k it is 1 at balance.</item>
/// <item>max violation (Wang et al. 2024, arXiv 2408.15664): largest load / mean load - 1.</item>
/// <item>z-loss (Zoph et al. 2022, arXiv 2202.08906): mean of (ln sum exp z)^2. Entropies in nats.</item>
/// </list></remarks>
/// <param name="routing">The rule of choice.</param>
/// <param name="correction">Added to the scores for the choice only; empty for none.</param>
/// <param name="domains">Number of domains that tokens are told apart by.</param>
public sealed class RouterStatistics(RoutingSpec routing, double[] correction, int domains)
{
    private readonly double[] _load = new double[routing.Experts], _first = new double[routing.Experts];
    private readonly double[] _importance = new double[routing.Experts], _probability = new double[routing.Experts];
    private readonly double[,] _byDomain = new double[domains, routing.Experts], _together = new double[routing.Experts, routing.Experts];
    private readonly double[] _tokens = new double[domains], _right = new double[domains], _included = new double[domains];
    private double _entropy, _z;

    /// <summary>Counts one token.</summary>
    /// <param name="logits">Router logits, one per expert.</param>
    /// <param name="domain">Its domain.</param>
    /// <param name="label">The expert that it ought to go to; -1 where none is known.</param>
    public void Add(ReadOnlySpan<double> logits, int domain, int label)
    {
        var (experts, weights) = (new int[routing.TopK], new double[routing.TopK]);
        ExpertRouting.Choose(routing, correction, logits.ToArray(), experts, weights);
        TensorPrimitives.Divide(weights, weights.Sum(), weights);
        var probabilities = Probabilities(logits);
        _tokens[domain]++;
        _first[experts[0]]++;
        for (var i = 0; i < experts.Length; i++)
        {
            _load[experts[i]]++;
            _importance[experts[i]] += weights[i];
            _byDomain[domain, experts[i]]++;
            for (var j = 0; j < experts.Length; j++)
                _together[experts[i], experts[j]] += i == j ? 0 : 1;
        }

        TensorPrimitives.Add(_probability, probabilities, _probability);
        _entropy += Entropy(probabilities);
        var max = TensorPrimitives.Max(logits);
        var sum = 0.0;
        foreach (var z in logits)
            sum += Math.Exp(z - max);
        _z += Math.Pow(max + Math.Log(sum), 2);
        if (label < 0)
            return;
        _right[domain] += experts[0] == label ? 1 : 0;
        _included[domain] += experts.Contains(label) ? 1 : 0;
    }

    /// <summary>The figures so far.</summary>
    /// <param name="layer">The layer that they belong to.</param>
    /// <param name="condition">Condition number of the router's matrix.</param>
    /// <param name="labelled">Whether tokens had labels.</param>
    public LayerRouting Result(int layer, double condition, bool labelled)
    {
        var tokens = _tokens.Sum();
        var mean = Array.ConvertAll(_probability, value => value / tokens);
        var loss = routing.Experts * mean.Zip(_load, (p, load) => p * load / tokens).Sum();
        return new LayerRouting(layer)
        {
            Tokens = (long)tokens,
            Load = _load,
            Importance = _importance,
            MeanProbability = mean,
            LoadCv2 = Dispersion(_load),
            ImportanceCv2 = Dispersion(_importance),
            MaxViolation = (_load.Max() / _load.Average()) - 1,
            MeanEntropy = _entropy / tokens,
            EntropyOfMean = Entropy(mean),
            SwitchLoss = routing.Experts * mean.Zip(_first, (p, first) => p * first / tokens).Sum(),
            TopKLoss = loss,
            TopKLossNormalised = loss / routing.TopK,
            ZLoss = _z / tokens,
            DomainShares = Shares(_byDomain, _tokens, routing.TopK),
            Together = Shares(_together, _load, 1),
            Accuracy = labelled ? [.. _right.Zip(_tokens, (right, count) => right / count)] : null,
            Inclusion = labelled ? [.. _included.Zip(_tokens, (included, count) => included / count)] : null,
            Condition = condition,
        };
    }

    /// <summary>-sum p ln p.</summary>
    public static double Entropy(ReadOnlySpan<double> p)
    {
        var sum = 0.0;
        foreach (var value in p)
            sum -= value > 0 ? value * Math.Log(value) : 0;
        return sum;
    }

    private double[] Probabilities(ReadOnlySpan<double> logits)
    {
        var p = logits.ToArray();
        if (routing.Scoring != RouterScoring.Sigmoid)
        {
            ExpertRouting.Softmax<double>(p);
            return p;
        }

        TensorPrimitives.Sigmoid<double>(p, p);
        TensorPrimitives.Divide(p, p.Sum(), p);
        return p;
    }

    /// <summary>Population variance over the square of the mean.</summary>
    private static double Dispersion(double[] values)
    {
        var mean = values.Average();
        return mean == 0 ? 0 : values.Sum(value => (value - mean) * (value - mean)) / values.Length / (mean * mean);
    }

    private static double[][] Shares(double[,] counts, double[] totals, int each) =>
        [.. Enumerable.Range(0, counts.GetLength(0)).Select(row => Enumerable.Range(0, counts.GetLength(1))
            .Select(column => totals[row] > 0 ? counts[row, column] / (totals[row] * each) : 0).ToArray())];
}
