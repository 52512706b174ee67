using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;

namespace MergeKit.Core.Conversion;

/// <summary>A model on its way through conversions: its configuration and tensors can be changed, its data are not touched.</summary>
internal sealed class ModelDraft
{
    private readonly ModelInput _source;
    private readonly List<TensorInfo> _tensors;
    private readonly List<IDisposable> _owned = [];

    public ModelDraft(ModelInput source)
    {
        (_source, _tensors) = (source, [.. source.Checkpoint.Tensors]);
        Config = (JsonObject)source.Config!.Json.DeepClone();
        Architecture = ArchitectureCatalog.Find(source.Config!);
    }

    /// <summary>The model's name in messages.</summary>
    public string Name => _source.Source;

    /// <summary>The stored tensors.</summary>
    public Checkpoint Stored => _source.Checkpoint;

    /// <summary>The configuration as it is so far.</summary>
    public JsonObject Config { get; }

    /// <summary>Its family; null where unknown.</summary>
    public Architecture? Architecture { get; }

    /// <summary>The tensors so far.</summary>
    public IReadOnlyList<TensorInfo> Tensors => _tensors;

    /// <summary>The configuration in typed form.</summary>
    public ModelConfig TypedConfig => ModelConfig.Of(_source.Config!.File, Config);

    /// <summary>The tensor of that name so far, or null.</summary>
    public TensorInfo? Find(string name) => _tensors.Find(tensor => tensor.Name == name);

    /// <summary>A family that is needed for a conversion.</summary>
    /// <exception cref="InputException">It is unknown.</exception>
    public Architecture RequireArchitecture(string what) => Architecture ?? throw new InputException($"{Name}: {what} needs to know what the tensors are for, but '{TypedConfig.Architecture}' is not a known architecture");

    /// <summary>Puts a tensor in place of one of the same name, else at the end.</summary>
    public void Set(TensorInfo tensor)
    {
        var at = _tensors.FindIndex(known => known.Name == tensor.Name);
        if (at >= 0)
            _tensors[at] = tensor;
        else
            _tensors.Add(tensor);
    }

    /// <summary>Leaves a tensor out.</summary>
    public void Remove(string name) => _tensors.RemoveAll(tensor => tensor.Name == name);

    /// <summary>Tensors are made of another checkpoint too: it lives as long as the result.</summary>
    public void Own(IDisposable other) => _owned.Add(other);

    /// <summary>The converted model; it owns the source.</summary>
    public ModelInput Finish() =>
        _source with { Config = TypedConfig, Checkpoint = new Checkpoint(Stored.Path, Stored.Files, _tensors, Stored.Warnings, [Stored, .. _owned]) };
}
