namespace MergeKit.Core.Architectures;

/// <summary>How router logits become scores.</summary>
public enum RouterScoring
{
    /// <summary>Softmax over all experts.</summary>
    Softmax,

    /// <summary>Sigmoid of each logit.</summary>
    Sigmoid,

    /// <summary>The largest logits are chosen, then a softmax over the chosen ones alone.</summary>
    SoftmaxOfChosen,
}

/// <summary>How a group of experts is ranked before the choice is limited to the best groups.</summary>
public enum GroupRanking
{
    /// <summary>By its best expert (DeepSeek-V2, arXiv 2405.04434).</summary>
    Best,

    /// <summary>By the sum of its two best experts (DeepSeek-V3, arXiv 2412.19437).</summary>
    SumOfBestTwo,
}

/// <summary>Which experts a token visits, and with what weight.</summary>
public sealed record RoutingSpec
{
    /// <summary>Number of experts.</summary>
    public required int Experts { get; init; }

    /// <summary>Experts per token.</summary>
    public required int TopK { get; init; }

    /// <summary>How logits become scores.</summary>
    public required RouterScoring Scoring { get; init; }

    /// <summary>Whether the chosen scores are divided by their sum.</summary>
    public bool Normalise { get; init; }

    /// <summary>Factor on the weights, after normalising.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Number of groups; 1 where experts are not grouped.</summary>
    public int Groups { get; init; } = 1;

    /// <summary>Groups that may be chosen from.</summary>
    public int TopGroups { get; init; } = 1;

    /// <summary>How groups are ranked.</summary>
    public GroupRanking Ranking { get; init; }
}

/// <summary>All experts in two tensors: gate and up, and down; with a leading axis over the experts.</summary>
public sealed record PackedExpertsSpec
{
    /// <summary>Gate and up of all experts.</summary>
    public required TensorSpec GateUp { get; init; }

    /// <summary>Down of all experts.</summary>
    public required TensorSpec Down { get; init; }

    /// <summary>Biases [experts, 2 intermediate] and [experts, hidden].</summary>
    public (TensorSpec GateUp, TensorSpec Down)? Biases { get; init; }

    /// <summary>Whether matrices are stored [in, out].</summary>
    public bool StoredTransposed { get; init; }

    /// <summary>Whether gate and up alternate (gate first) instead of following each other.</summary>
    public bool Interleaved { get; init; }
}

/// <summary>A mixture of experts in place of an MLP.</summary>
public sealed record MoeSpec
{
    /// <summary>Router logits = x R^T.</summary>
    public required LinearSpec Router { get; init; }

    /// <summary>Added to the scores for the choice only, [experts].</summary>
    public TensorSpec? Correction { get; init; }

    /// <summary>The rule of choice.</summary>
    public required RoutingSpec Routing { get; init; }

    /// <summary>Width between an expert's matrices.</summary>
    public required int Intermediate { get; init; }

    /// <summary>The pointwise function of the experts.</summary>
    public required Activation Activation { get; init; }

    /// <summary>The experts one by one; empty where checkpoints only have them packed.</summary>
    public IReadOnlyList<MlpSpec> Experts { get; init; } = [];

    /// <summary>The packed form; used where <see cref="Experts"/> is empty or not stored.</summary>
    public required PackedExpertsSpec Packed { get; init; }

    /// <summary>Where set, gate is clamped from above and up from both sides at this limit, and the output is (up + 1) gate sigmoid(1.702 gate).</summary>
    public float? ClampedSwigluLimit { get; init; }

    /// <summary>An expert that every token visits.</summary>
    public MlpSpec? Shared { get; init; }

    /// <summary>The shared expert's output is multiplied by sigmoid(x s^T).</summary>
    public LinearSpec? SharedGate { get; init; }
}
