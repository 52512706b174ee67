using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;

namespace MergeKit.Core.Moe.Planning;

/// <summary>Which layers of a format may stay dense.</summary>
internal enum DenseLayers
{
    /// <summary>None.</summary>
    None,

    /// <summary>The first ones.</summary>
    First,

    /// <summary>Any.</summary>
    Any,
}

/// <summary>The numbers of a mixture that its configuration states.</summary>
/// <param name="Experts">Routed experts.</param>
/// <param name="TopK">Experts per token.</param>
/// <param name="Width">Width of a routed expert.</param>
/// <param name="SharedWidths">Widths of the shared experts.</param>
/// <param name="First">The first layer that is a mixture.</param>
/// <param name="Dense">The layers that are none.</param>
internal sealed record MixtureShape(int Experts, int TopK, long Width, IReadOnlyList<long> SharedWidths, int First, IReadOnlyList<int> Dense);

/// <summary>A published format of mixtures that dense models can be put into.</summary>
/// <param name="Name">What mergekit calls it.</param>
/// <param name="ClassName">The class name in its configuration.</param>
/// <param name="ModelType">The model type in its configuration.</param>
/// <param name="Sources">Class names of the dense models that fit into it.</param>
/// <param name="Configure">Changes the base's configuration into its own.</param>
internal sealed record MoeFormat(
    string Name, string ClassName, string ModelType, IReadOnlyList<string> Sources, Action<JsonObject, MixtureShape> Configure)
{
    /// <summary>The least and most shared experts.</summary>
    public (int Least, int Most) Shared { get; init; }

    /// <summary>Whether all shared experts must have the routed experts' width.</summary>
    public bool SharedOfEqualWidth { get; init; }

    /// <summary>Whether a gate stands on the shared expert.</summary>
    public bool SharedGate { get; init; }

    /// <summary>Which layers may stay dense.</summary>
    public DenseLayers Dense { get; init; }

    /// <summary>Whether biases on q, k and v are wanted also of sources that have none.</summary>
    public bool AddsBiases { get; init; }

    /// <summary>Whether the user's name for a format means this one: the beginning of its name, or its model type.</summary>
    public bool IsCalled(string name) =>
        Name.StartsWith(name, StringComparison.OrdinalIgnoreCase) || ModelType.Equals(name, StringComparison.OrdinalIgnoreCase);

    /// <summary>The output's configuration.</summary>
    /// <param name="baseConfig">The base's, which is changed.</param>
    /// <param name="facts">The base's network, whose defaults may not be the format's.</param>
    /// <param name="shape">The mixture.</param>
    public void Apply(JsonObject baseConfig, NetworkSpec facts, MixtureShape shape)
    {
        var attention = facts.Layers[0].Attention;
        baseConfig["architectures"] = new JsonArray(ClassName);
        baseConfig["model_type"] = ModelType;
        baseConfig.Remove("auto_map");
        if (attention.Latent is null)
        {
            Default(baseConfig, "num_key_value_heads", attention.KvHeads);
            if (attention.HeadDim * attention.Heads != facts.HiddenSize)
                Default(baseConfig, "head_dim", attention.HeadDim);
        }

        Default(baseConfig, "rms_norm_eps", facts.Layers[0].MlpNorm!.Epsilon);
        if (attention.Rope is { } rope && baseConfig["rope_parameters"] is null)
            Default(baseConfig, "rope_theta", rope.Theta);
        Default(baseConfig, "max_position_embeddings", facts.MaxLength);
        Default(baseConfig, "tie_word_embeddings", facts.Head.Tied);
        Configure(baseConfig, shape);
    }

    private static void Default(JsonObject config, string key, JsonNode value)
    {
        if (config[key] is null)
            config[key] = value;
    }
}
