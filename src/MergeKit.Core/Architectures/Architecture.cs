using System.Text.RegularExpressions;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Architectures;

/// <summary>One family of models: how to know it, and how its configuration becomes a <see cref="NetworkSpec"/>.</summary>
public sealed class Architecture
{
    private readonly Lazy<Regex> _ignored;

    private readonly Func<ConfigReader, NetworkSpec> _describe;

    internal Architecture(Func<ConfigReader, NetworkSpec> describe)
    {
        _describe = describe;
        _ignored = new Lazy<Regex>(() => new Regex(
            string.Join('|', IgnoredTensors.Select(pattern => "^" + Regex.Escape(pattern).Replace(@"\*", ".*", StringComparison.Ordinal) + "$")),
            RegexOptions.CultureInvariant | RegexOptions.NonBacktracking));
    }

    /// <summary>What people call it.</summary>
    public required string Name { get; init; }

    /// <summary>Class names in <c>architectures</c>.</summary>
    public required IReadOnlyList<string> ClassNames { get; init; }

    /// <summary>The <c>model_type</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>The key that holds the number of layers.</summary>
    public string LayerCountKey { get; init; } = "num_hidden_layers";

    /// <summary>Whether it is a bidirectional encoder with a masked-language-model head.</summary>
    public bool IsEncoder { get; init; }

    /// <summary>Names of stored tensors that nothing uses (buffers, heads of other tasks); <c>*</c> stands for anything.</summary>
    public IReadOnlyList<string> IgnoredTensors { get; init; } = [];

    /// <summary>Whether a stored tensor of that name is to be left aside.</summary>
    public bool IsIgnored(string tensor) => IgnoredTensors.Count > 0 && _ignored.Value.IsMatch(tensor);

    /// <summary>The network that a configuration describes.</summary>
    /// <exception cref="Diagnostics.InputException">A key is missing, impossible, or not understood.</exception>
    public NetworkSpec Network(ModelConfig config)
    {
        var reader = new ConfigReader(config);
        var network = _describe(reader);
        reader.RejectUnknownKeys();
        return network;
    }

    /// <summary>The network that a configuration describes, without judging keys that are not understood.</summary>
    internal NetworkSpec Declare(ModelConfig config) => _describe(new ConfigReader(config));

    /// <summary>The tensors a configuration implies: embeddings, then layer by layer, final norm, head.</summary>
    /// <param name="config">The configuration; keys that only the forward pass needs are not judged.</param>
    /// <param name="layers">A number of layers in place of the configured one.</param>
    public IReadOnlyList<WeightSpec> Weights(ModelConfig config, int? layers = null) =>
        [.. WeightEnumerator.Enumerate(_describe(new ConfigReader(config, layers)))];

    /// <summary>The tensors a configuration implies, with experts packed in those layers where a checkpoint has them packed.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="isStored">Whether the checkpoint has a tensor.</param>
    public IReadOnlyList<WeightSpec> StoredWeights(ModelConfig config, Func<string, bool> isStored)
    {
        var network = _describe(new ConfigReader(config, null));
        return [.. WeightEnumerator.Enumerate(network with { Layers = [.. network.Layers.Select(layer => layer with { Moe = Stored(layer.Moe, isStored) })] })];
    }

    private static MoeSpec? Stored(MoeSpec? moe, Func<string, bool> isStored) =>
        moe is { Experts.Count: > 0 } && isStored(moe.Packed.Down.Name) && !isStored(moe.Experts[0].Down.Name + ".weight") ? moe with { Experts = [] } : moe;
}
