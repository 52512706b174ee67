using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>How the rows of the routers are made.</summary>
public enum GateMode
{
    /// <summary>The state of each prompt's last token.</summary>
    Hidden,

    /// <summary>The mean state over each prompt's tokens.</summary>
    HiddenAverage,

    /// <summary>The sum of the prompts' token embeddings, the same in all layers.</summary>
    CheapEmbed,

    /// <summary>Standard normal numbers.</summary>
    Random,

    /// <summary>Uniform in +-1/sqrt(hidden).</summary>
    UniformRandom,

    /// <summary>Fitted to held-out text of each expert.</summary>
    Calibrated,
}

/// <summary>Which vector a gate row is compared with when it is made.</summary>
public enum GateInput
{
    /// <summary>The residual stream that enters the layer, as mergekit takes it.</summary>
    Residual,

    /// <summary>What the router really reads: the output of the norm after attention.</summary>
    Router,
}

/// <summary>How the experts are stored.</summary>
public enum ExpertStorage
{
    /// <summary>Each matrix of each expert is a tensor.</summary>
    Separate,

    /// <summary>All experts of a layer in two tensors.</summary>
    Packed,
}

/// <summary>One expert of a mixture.</summary>
/// <param name="Model">The dense model whose feed-forward blocks it is.</param>
/// <param name="Positive">Prompts that should be routed to it.</param>
/// <param name="Negative">Prompts that should not.</param>
/// <param name="ResidualScale">Factor on its down projection; null: none.</param>
/// <param name="NoiseScale">Standard deviation of normal noise added to its matrices; null: none.</param>
/// <param name="Data">Held-out text of its domain; null: its prompts stand for it.</param>
/// <param name="Copies">How many experts it makes.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record ExpertSpec(
    ModelReference Model, IReadOnlyList<string> Positive, IReadOnlyList<string> Negative, double? ResidualScale, double? NoiseScale, string? Data,
    int Copies, SourceLocation Location);

/// <summary>Which expert a piece of held-out text belongs to.</summary>
public enum CalibrationLabels
{
    /// <summary>The one that it is given for.</summary>
    Domain,

    /// <summary>The one under whose feed-forward blocks the text is most likely, in the mixture's own backbone.</summary>
    Likelihood,
}

/// <summary>How <c>gate_mode: calibrated</c> fits its routers.</summary>
public sealed record CalibrationSettings
{
    /// <summary>Mean entropy, in nats, of the routing probabilities after scaling; null: half of ln experts, which scored best
    /// on average of nine shares in two-fold cross-validation on the tuning texts of the trained models.</summary>
    public double? TargetEntropy { get; init; }

    /// <summary>Which expert a piece of text belongs to.</summary>
    public CalibrationLabels Labels { get; init; }

    /// <summary>The ridge as a share of the states' mean square.</summary>
    public double Ridge { get; init; } = 1e-3;

    /// <summary>Most tokens that are run, of all experts' texts together.</summary>
    public int Tokens { get; init; } = 102400;

    /// <summary>Tokens of one piece of text; null: 512, or what the model can take where that is less.</summary>
    public int? Window { get; init; }
}

/// <summary>What a mixture-of-experts document adds to a recipe. The recipe itself makes all tensors that are no expert's and no router's.</summary>
/// <param name="Base">The model that gives configuration and tokenizer, and whose states the gates are made of.</param>
/// <param name="Experts">The routed experts, in order, copies not yet expanded.</param>
/// <param name="Shared">Experts that every token visits.</param>
/// <param name="Gate">How routers are made.</param>
/// <param name="GateInput">What they are made to read; null: the residual stream for mergekit's modes, the router's input for calibrated ones.</param>
/// <param name="TopK">Experts per token.</param>
/// <param name="Architecture">The beginning of the output format's name; null: the first that can hold the mixture.</param>
/// <param name="Layout">How the experts are stored.</param>
/// <param name="Layers">The layers that become mixtures; null: all.</param>
/// <param name="Calibration">Settings of calibrated gates.</param>
/// <param name="HasBackbone">Whether the other tensors are merged (else copied from the base).</param>
public sealed record MoeSettings(
    ModelReference Base, IReadOnlyList<ExpertSpec> Experts, IReadOnlyList<ExpertSpec> Shared, GateMode Gate, GateInput? GateInput, int TopK,
    string? Architecture, ExpertStorage Layout, LayerRange? Layers, CalibrationSettings Calibration, bool HasBackbone)
{
    /// <summary>The routed experts one by one, each as often as it has copies.</summary>
    public IReadOnlyList<ExpertSpec> Expanded { get; } = [.. Experts.SelectMany(expert => Enumerable.Repeat(expert, expert.Copies))];

    /// <summary>Whether gates are made of the states of a forward pass.</summary>
    public bool NeedsStates => Gate is GateMode.Hidden or GateMode.HiddenAverage or GateMode.Calibrated;

    /// <summary>What gates are made to read.</summary>
    public GateInput Input => GateInput ?? (Gate == GateMode.Calibrated ? Recipes.GateInput.Router : Recipes.GateInput.Residual);

    /// <summary>All models that the mixture itself names.</summary>
    public IEnumerable<ModelReference> Models() => Experts.Concat(Shared).Select(expert => expert.Model).Prepend(Base);
}
