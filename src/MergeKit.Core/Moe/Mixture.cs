using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe;

/// <summary>What a planned mixture is made of, as far as its routers need to know it.</summary>
public sealed class Mixture
{
    private const int DefaultWindow = 512;

    /// <summary>What the user asked for.</summary>
    public required MoeSettings Settings { get; init; }

    /// <summary>The recipe's file, which data paths may stand beside.</summary>
    public required string RecipeFile { get; init; }

    /// <summary>The folder with the base's tokenizer.</summary>
    public required string TokenizerFolder { get; init; }

    /// <summary>The configuration of the dense model that the backbone is.</summary>
    public required ModelConfig DenseConfig { get; init; }

    /// <summary>The jobs of that dense model, which has the base's own (or merged) feed-forward blocks.</summary>
    public required IReadOnlyList<TensorJob> Backbone { get; init; }

    /// <summary>For each routed expert the jobs of its feed-forward blocks, under the dense model's names.</summary>
    public required IReadOnlyList<IReadOnlyList<TensorJob>> Experts { get; init; }

    /// <summary>Names of the routed experts for tables, all different.</summary>
    public required IReadOnlyList<string> ExpertNames { get; init; }

    /// <summary>Rule of choice and width of the routers.</summary>
    public required RoutingSpec Routing { get; init; }

    /// <summary>Width of the hidden states.</summary>
    public required int Hidden { get; init; }

    /// <summary>The most tokens of a sequence.</summary>
    public required int Context { get; init; }

    /// <summary>Tokens of one piece of calibration text.</summary>
    public int Window => Settings.Calibration.Window ?? Math.Min(DefaultWindow, Context);

    /// <summary>The layers that are mixtures.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    /// <summary>The name of the token embedding among the backbone's jobs.</summary>
    public required string Embedding { get; init; }

    /// <summary>The run's random seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The tensors to fill in, by layer.</summary>
    public IReadOnlyList<GateSource> Gates { get; internal set; } = [];

    /// <summary>Names of their tensors, in the same order.</summary>
    public IReadOnlyList<string> GateNames { get; internal set; } = [];
}
