using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Mixtures of experts. The choice of experts is held fixed; gradients go through their weights to the router, and through the experts.</summary>
internal static class MixtureSteps
{
    private const double Tiny = 1e-20;

    /// <summary>The sum over a token's experts of weight x expert(x), plus the shared expert.</summary>
    public static TapeValue Mixture(this Tape tape, MoeWeights weights, TapeValue x, RouterChoice? choice)
    {
        var topK = weights.Routing.TopK;
        var (experts, shares) = Route(tape, weights, tape.Linear(weights.Router, x));
        choice?.Set(topK, experts, [.. shares.Data]);
        var visits = new List<(int[] Places, TapeValue Output)>();
        foreach (var group in Enumerable.Range(0, experts.Length).GroupBy(place => experts[place]).OrderBy(group => group.Key))
        {
            var places = group.ToArray();
            visits.Add((places, tape.Mlp(weights.Experts[group.Key], tape.Rows(x, Array.ConvertAll(places, place => place / topK)))));
        }

        var mixed = Mix(tape, visits, shares, x.Columns);
        if (weights.Shared is not { } shared)
            return mixed;
        var common = tape.Mlp(shared, x);
        return tape.Add(mixed, weights.SharedGate is { } gate ? Mix(tape, [([.. Enumerable.Range(0, x.Rows)], common)], Sigmoid(tape, tape.Linear(gate, x)), x.Columns) : common);
    }

    /// <summary>Row t of the result is the sum over places p of t's of shares[p] x output row.</summary>
    private static TapeValue Mix(Tape tape, List<(int[] Places, TapeValue Output)> visits, TapeValue shares, int width)
    {
        var (y, perToken) = (tape.Value(shares.Rows, width), shares.Columns);
        foreach (var (places, output) in visits)
            for (var i = 0; i < places.Length; i++)
                TensorPrimitives.MultiplyAdd(output.Row(i), shares.Data[places[i]], y.Row(places[i] / perToken), y.Row(places[i] / perToken));
        return tape.Record(y, () =>
        {
            foreach (var (places, output) in visits)
                for (var i = 0; i < places.Length; i++)
                {
                    var gradient = y.GradientRow(places[i] / perToken);
                    TensorPrimitives.MultiplyAdd(gradient, shares.Data[places[i]], output.GradientRow(i), output.GradientRow(i));
                    shares.Gradient[places[i]] += TensorPrimitives.Dot<float>(gradient, output.Row(i));
                }
        });
    }

    private static TapeValue Sigmoid(Tape tape, TapeValue x)
    {
        var y = tape.Value(x.Rows, x.Columns);
        TensorPrimitives.Sigmoid(x.Data, y.Data);
        return tape.Record(y, () =>
        {
            for (var i = 0; i < y.Data.Length; i++)
                x.Gradient[i] += y.Gradient[i] * y.Data[i] * (1 - y.Data[i]);
        });
    }

    /// <summary>The experts of each token, and their weights [tokens, experts per token].</summary>
    private static (int[] Experts, TapeValue Shares) Route(Tape tape, MoeWeights weights, TapeValue logits)
    {
        var (routing, topK) = (weights.Routing, weights.Routing.TopK);
        var (experts, shares) = (new int[logits.Rows * topK], tape.Value(logits.Rows, topK));
        var scores = (float[])logits.Data.Clone();
        for (var token = 0; token < logits.Rows; token++)
            CpuRouter.Choose(routing, weights.Correction, scores.AsSpan(token * logits.Columns, logits.Columns), experts.AsSpan(token * topK, topK), shares.Row(token));
        tape.Record(shares, () =>
        {
            for (var token = 0; token < logits.Rows; token++)
                BackRoute(routing, experts.AsSpan(token * topK, topK), shares.GradientRow(token), logits.Row(token), scores.AsSpan(token * logits.Columns, logits.Columns), logits.GradientRow(token));
        });
        return (experts, shares);
    }

    /// <summary>From the gradient of the weights c u / sum(u) (or c u) of the chosen to that of the logits behind the scores u.</summary>
    private static void BackRoute(RoutingSpec routing, ReadOnlySpan<int> chosen, ReadOnlySpan<float> gradient, ReadOnlySpan<float> logits, ReadOnlySpan<float> scores, Span<float> result)
    {
        var (u, du) = (new double[chosen.Length], new double[chosen.Length]);
        for (var k = 0; k < u.Length; k++)
            (u[k], du[k]) = (scores[chosen[k]], routing.Scale * gradient[k]);
        if (routing.Scoring == RouterScoring.SoftmaxOfChosen)
            Softmax(chosen, logits, u);
        if (routing.Normalise)
        {
            var total = u.Sum() + Tiny;
            var mean = Weighted(du, u) / total;
            for (var k = 0; k < u.Length; k++)
                du[k] = (du[k] - mean) / total;
        }

        var sum = Weighted(du, u);
        if (routing.Scoring == RouterScoring.Softmax)
            for (var expert = 0; expert < result.Length; expert++)
                result[expert] -= (float)(scores[expert] * sum);
        for (var k = 0; k < u.Length; k++)
            result[chosen[k]] += (float)(u[k] * routing.Scoring switch
            {
                RouterScoring.Softmax => du[k],
                RouterScoring.Sigmoid => du[k] * (1 - u[k]),
                _ => du[k] - sum,
            });
    }

    private static void Softmax(ReadOnlySpan<int> chosen, ReadOnlySpan<float> logits, double[] u)
    {
        var maximum = double.NegativeInfinity;
        foreach (var expert in chosen)
            maximum = Math.Max(maximum, logits[expert]);
        for (var k = 0; k < u.Length; k++)
            u[k] = Math.Exp(logits[chosen[k]] - maximum);
        var total = u.Sum();
        for (var k = 0; k < u.Length; k++)
            u[k] /= total;
    }

    private static double Weighted(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
