using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>One adapted module: its weight W becomes W + scale B A.</summary>
/// <param name="Name">The module's name in the model.</param>
/// <param name="A">[rank, in]; of an embedding [rank, vocabulary].</param>
/// <param name="B">[out, rank]; of an embedding [hidden, rank].</param>
/// <param name="IsEmbedding">Whether the weight is [vocabulary, hidden], so that the delta is (B A)^T.</param>
/// <param name="Scale">alpha / r, or alpha / sqrt(r).</param>
public sealed record AdapterModule(string Name, TensorInfo A, TensorInfo B, bool IsEmbedding, double Scale)
{
    /// <summary>DoRA's magnitudes, one per output.</summary>
    public TensorInfo? Magnitude { get; init; }

    /// <summary>A bias of B, scaled like it and added to the module's.</summary>
    public TensorInfo? BiasB { get; init; }

    /// <summary>The factors' common extent.</summary>
    public int Rank => checked((int)A.Shape[0]);
}

/// <summary>A PEFT LoRA adapter: low-rank factors per module, and tensors that replace the model's.</summary>
public sealed class Adapter : IDisposable
{
    private static readonly string[] WeightFiles = ["adapter_model.safetensors", "adapter_model.bin"];

    private Adapter(string folder, AdapterConfig config, Checkpoint checkpoint)
    {
        (Folder, Config, Checkpoint) = (folder, config, checkpoint);
        (Modules, Whole) = new AdapterReader(config, checkpoint).Read();
    }

    /// <summary>Where it lies.</summary>
    public string Folder { get; }

    /// <summary>Its configuration.</summary>
    public AdapterConfig Config { get; }

    /// <summary>Its stored tensors.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>The adapted modules, by name.</summary>
    public IReadOnlyDictionary<string, AdapterModule> Modules { get; }

    /// <summary>Tensors that stand in place of the model's (<c>modules_to_save</c>, biases), by the model's name for them.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Whole { get; }

    /// <summary>Opens an adapter folder.</summary>
    /// <exception cref="InputException">No adapter, not LoRA, or factors that do not fit each other; lists everything found.</exception>
    public static Adapter Open(string folder)
    {
        var config = AdapterConfig.Read(folder);
        var file = WeightFiles.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new InputException($"{folder}: no adapter weights: neither {string.Join(" nor ", WeightFiles)} is in this folder");
        var checkpoint = Checkpoint.Open(file);
        try
        {
            return new Adapter(folder, config, checkpoint);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Checkpoint.Dispose();
}
