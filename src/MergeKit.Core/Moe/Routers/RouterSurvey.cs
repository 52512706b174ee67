using MergeKit.Core.Architectures;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Routers;

/// <summary>The routing tensors of one layer.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Rows">The router's rows, [experts][hidden].</param>
/// <param name="Correction">Added to the scores for the choice only; empty for none.</param>
public sealed record LayerGates(int Layer, double[][] Rows, double[] Correction);

/// <summary>Looks at what routers do with texts of several domains.</summary>
public static class RouterSurvey
{
    /// <summary>Runs every domain's sequences and counts.</summary>
    /// <param name="title">Which model, and when.</param>
    /// <param name="probe">The model whose states the routers read.</param>
    /// <param name="gates">The routers.</param>
    /// <param name="routing">The rule of choice.</param>
    /// <param name="experts">Names of the experts.</param>
    /// <param name="domains">The texts.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static RouterReport Run(
        string title, IRouterProbe probe, IReadOnlyList<LayerGates> gates, RoutingSpec routing, IReadOnlyList<string> experts, IReadOnlyList<ProbeDomain> domains,
        CancellationToken cancellation)
    {
        var byLayer = gates.ToDictionary(one => one.Layer);
        var statistics = gates.ToDictionary(one => one.Layer, one => new RouterStatistics(routing, one.Correction, domains.Count));
        foreach (var (index, domain) in domains.Index())
            probe.Run(domain.Sequences, GateInput.Router, [.. gates.Select(one => one.Layer)], (layer, _, states) =>
            {
                foreach (var logits in Logits(byLayer[layer].Rows, states))
                    statistics[layer].Add(logits, index, domain.Label);
            }, cancellation);
        var labelled = domains.Any(domain => domain.Label >= 0);
        return new RouterReport(title, experts, [.. domains.Select(domain => domain.Name)],
            [.. gates.Select(one => statistics[one.Layer].Result(one.Layer, GateVectors.Condition(one.Rows), labelled))]);
    }

    /// <summary>z = G h for every state.</summary>
    public static double[][] Logits(double[][] rows, ReadOnlySpan<float> states)
    {
        var width = rows[0].Length;
        var gates = Array.ConvertAll(rows, row => Array.ConvertAll(row, value => (float)value));
        var logits = new double[states.Length / width][];
        for (var token = 0; token < logits.Length; token++)
        {
            logits[token] = new double[rows.Length];
            for (var expert = 0; expert < rows.Length; expert++)
                logits[token][expert] = System.Numerics.Tensors.TensorPrimitives.Dot(states.Slice(token * width, width), gates[expert]);
        }

        return logits;
    }
}
