namespace MergeKit.Core.Moe.Routers;

/// <summary>What the router of one layer does; see <see cref="RouterStatistics"/> for the definitions.</summary>
/// <param name="Layer">The layer.</param>
public sealed record LayerRouting(int Layer)
{
    /// <summary>Tokens seen.</summary>
    public required long Tokens { get; init; }

    /// <summary>Times that each expert was chosen.</summary>
    public required double[] Load { get; init; }

    /// <summary>Sum of each expert's renormalised weights.</summary>
    public required double[] Importance { get; init; }

    /// <summary>Mean routing probability of each expert, before the choice.</summary>
    public required double[] MeanProbability { get; init; }

    /// <summary>Squared coefficient of variation of the load.</summary>
    public required double LoadCv2 { get; init; }

    /// <summary>Squared coefficient of variation of the importance.</summary>
    public required double ImportanceCv2 { get; init; }

    /// <summary>Largest load over mean load, less 1.</summary>
    public required double MaxViolation { get; init; }

    /// <summary>Mean entropy of a token's probabilities, in nats.</summary>
    public required double MeanEntropy { get; init; }

    /// <summary>Entropy of the mean probabilities, in nats.</summary>
    public required double EntropyOfMean { get; init; }

    /// <summary>Loss of Switch Transformer, 1 at balance.</summary>
    public required double SwitchLoss { get; init; }

    /// <summary>Its form for top k, k at balance.</summary>
    public required double TopKLoss { get; init; }

    /// <summary>The same over k, 1 at balance.</summary>
    public required double TopKLossNormalised { get; init; }

    /// <summary>Mean squared log-sum-exp of the logits.</summary>
    public required double ZLoss { get; init; }

    /// <summary>[domain][expert]: the share of a domain's choices that fall on an expert.</summary>
    public required double[][] DomainShares { get; init; }

    /// <summary>[a][b]: of the tokens that chose a, the share that chose b as well.</summary>
    public required double[][] Together { get; init; }

    /// <summary>By domain the share of tokens whose first choice is the domain's own expert; null where domains have none.</summary>
    public required double[]? Accuracy { get; init; }

    /// <summary>By domain the share of tokens that visit the domain's own expert; null where domains have none.</summary>
    public required double[]? Inclusion { get; init; }

    /// <summary>Largest over smallest singular value of the router's matrix.</summary>
    public required double Condition { get; init; }

    /// <summary>Experts that no token chose.</summary>
    public IEnumerable<int> Dead => Enumerable.Range(0, Load.Length).Where(expert => Load[expert] == 0);
}

/// <summary>What the routers of a mixture do with labelled text.</summary>
/// <param name="Title">Which model, and when: before it was written, or as written.</param>
/// <param name="Experts">Names of the experts.</param>
/// <param name="Domains">Names of the domains.</param>
/// <param name="Layers">The layers.</param>
public sealed record RouterReport(string Title, IReadOnlyList<string> Experts, IReadOnlyList<string> Domains, IReadOnlyList<LayerRouting> Layers)
{
    /// <summary>Condition numbers above this mean that some rows nearly repeat others, as mergekit warns.</summary>
    public const double WorstCondition = 5;

    private const int MostNamed = 8;

    /// <summary>What a user should know: experts that nothing reaches, by name where they are few.</summary>
    public IEnumerable<Diagnostics.Problem> Warnings()
    {
        var dead = Layers.SelectMany(layer => layer.Dead.Select(expert => (expert, layer.Layer))).GroupBy(pair => pair.expert).ToList();
        if (dead.Count > MostNamed)
            return [Diagnostics.Problem.Warning(
                $"{Title}: {dead.Count} of {Experts.Count} experts are chosen by none of {Layers[0].Tokens} tokens in some layer, where they are dead ({string.Join(", ", Layers.Where(layer => layer.Dead.Any()).Select(layer => $"{layer.Dead.Count()} in layer {layer.Layer}"))})")];
        return dead.Select(group => Diagnostics.Problem.Warning(
            $"{Title}: expert {group.Key} ('{Experts[group.Key]}') is chosen by none of {Layers[0].Tokens} tokens in layer {Ranges(group.Select(pair => pair.Layer))}: it is dead there"));
    }

    /// <summary>A warning where some rows of routers nearly repeat others.</summary>
    public static IEnumerable<Diagnostics.Problem> ConditionWarnings(IReadOnlyList<LayerGates> gates)
    {
        var poor = gates.Select(one => (one.Layer, condition: GateVectors.Condition(one.Rows))).Where(one => !(one.condition <= WorstCondition)).ToList();
        if (poor.Count > 0)
            yield return Diagnostics.Problem.Warning(string.Create(System.Globalization.CultureInfo.InvariantCulture,
                $"the router's condition number is above {WorstCondition} in layer {Ranges(poor.Select(one => one.Layer))} (up to {poor.Max(one => one.condition):0.#}): its rows nearly repeat each other, so some experts may hardly be told apart (prompts or texts that are too similar do this)"));
    }

    private static string Ranges(IEnumerable<int> layers) => string.Join(", ", layers);
}
