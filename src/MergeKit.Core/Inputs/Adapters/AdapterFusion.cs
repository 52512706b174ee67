using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>Folds an adapter into a model: a checkpoint whose adapted tensors are computed when they are read. Nothing is copied.</summary>
internal sealed class AdapterFusion
{
    private readonly ModelConfig? _config;
    private readonly Checkpoint _model;
    private readonly Adapter _adapter;
    private readonly List<Problem> _problems = [], _warnings = [];
    private readonly Dictionary<string, TensorInfo> _changed = new(StringComparer.Ordinal);
    private readonly string? _head, _embedding;
    private bool _unties;

    private AdapterFusion(ModelConfig? config, Checkpoint model, Adapter adapter)
    {
        (_config, _model, _adapter) = (config, model, adapter);
        (_head, _embedding) = TiedHead(config, model);
    }

    /// <summary>The fused model; takes over <paramref name="model"/> and <paramref name="adapter"/>, also where it fails.</summary>
    /// <exception cref="InputException">Modules that the model lacks, or shapes that do not fit; lists everything found.</exception>
    public static (ModelConfig? Config, Checkpoint Checkpoint) Fuse(ModelConfig? config, Checkpoint model, Adapter adapter)
    {
        try
        {
            return new AdapterFusion(config, model, adapter).Fuse();
        }
        catch
        {
            model.Dispose();
            adapter.Dispose();
            throw;
        }
    }

    private (ModelConfig?, Checkpoint) Fuse()
    {
        foreach (var (name, tensor) in _adapter.Whole)
            Replace(name, tensor);
        foreach (var module in _adapter.Modules.Values)
            Adapt(module);
        KeepHead();
        if (_problems.Count > 0)
            throw new InputException(_problems);
        var names = _model.Tensors.Select(tensor => tensor.Name).ToHashSet(StringComparer.Ordinal);
        List<TensorInfo> tensors = [.. _model.Tensors.Select(tensor => _changed.GetValueOrDefault(tensor.Name, tensor)), .. _changed.Values.Where(tensor => !names.Contains(tensor.Name))];
        var checkpoint = new Checkpoint($"{_model.Path}+{_adapter.Folder}", [.. _model.Files, .. _adapter.Checkpoint.Files], tensors, [.. _model.Warnings, .. _warnings], _model, _adapter);
        return (_unties ? Untied(_config!) : _config, checkpoint);
    }

    private void Adapt(AdapterModule module)
    {
        if (Find(module.Name + ".weight") is not { } weight)
        {
            _problems.Add(Problem.Error($"{_adapter.Folder}: adapts module '{module.Name}', but {_model.Path} has no tensor '{module.Name}.weight'"));
            return;
        }

        var transposed = module.IsEmbedding || _adapter.Config.IsFanInFanOut;
        var delta = new LowRankDelta(_adapter.Checkpoint, module, transposed);
        if (!weight.Shape.SequenceEqual([delta.Rows, delta.Columns]))
        {
            _problems.Add(Problem.Error($"{_adapter.Folder}: module '{module.Name}' changes a weight of [{delta.Rows}, {delta.Columns}], but '{weight.Name}' of {_model.Path} is {weight.ShapeText}"
                + (weight.Shape.SequenceEqual([delta.Columns, delta.Rows]) ? ": fan_in_fan_out is probably set wrongly" : "")));
            return;
        }

        Func<float[]>? magnitudes = module.Magnitude is { } stored ? () => _adapter.Checkpoint.ReadAll(stored) : null;
        var name = weight.Name == _embedding && !module.IsEmbedding ? _head! : weight.Name;
        _unties |= name == _head && _embedding is not null;
        _changed[name] = TensorInfo.Made(name, weight.DType, weight.Shape, weight.File, new AdaptedContent(_model, weight, delta, magnitudes, transposed));
        if (module.BiasB is not null)
            AdaptBias(module, weight);
    }

    private void AdaptBias(AdapterModule module, TensorInfo weight)
    {
        var name = weight.Name[..^"weight".Length] + "bias";
        if (_model.Find(name) is { } bias && bias.ElementCount == module.BiasB!.ElementCount)
            _changed[name] = TensorInfo.Made(name, bias.DType, bias.Shape, bias.File, new AdaptedBias(_model, bias, _adapter.Checkpoint, module));
        else
            _problems.Add(Problem.Error($"{_adapter.Folder}: module '{module.Name}' has a bias of B (lora_bias), but {_model.Path} has no fitting tensor '{name}' to add it to"));
    }

    private void Replace(string name, TensorInfo tensor)
    {
        var own = Find(name);
        if (own is null && AdapterReader.WithoutMarker(tensor.Name) is var other && Find(other) is { } inner)
            (name, own) = (other, inner); // what stands behind the marker is a part of the module, and not the adapter's name
        if (own is null && !name.EndsWith(".bias", StringComparison.Ordinal) && !name.Contains("score", StringComparison.Ordinal) && !name.Contains("classifier", StringComparison.Ordinal))
        {
            _problems.Add(Problem.Error($"{_adapter.Folder}: has the tensor '{tensor.Name}' in place of '{name}', which {_model.Path} lacks"));
            return;
        }

        var isHead = name == _head || (own?.Name == _embedding && own is not null && name.EndsWith(_head!, StringComparison.Ordinal));
        var target = isHead ? _head! : own?.Name ?? name;
        var type = own?.DType ?? tensor.DType;
        if (own is not null && !own.Shape.Skip(1).SequenceEqual(tensor.Shape.Skip(1)))
            _problems.Add(Problem.Error($"{_adapter.Folder}: '{tensor.Name}' is {tensor.ShapeText}, but '{own.Name}' of {_model.Path} is {own.ShapeText}"));
        _unties |= isHead && _embedding is not null;
        _changed[target] = TensorInfo.Made(target, type, tensor.Shape, tensor.File, new ReplacedContent(_adapter.Checkpoint, tensor, type));
    }

    /// <summary>PEFT trains a copy of a tied embedding while the head keeps the old one: so does the fused model, unless the vocabulary has grown.</summary>
    private void KeepHead()
    {
        if (_embedding is null || !_changed.TryGetValue(_embedding, out var embedding) || _changed.ContainsKey(_head!))
            return;
        var old = _model.Get(_embedding);
        if (old.Shape[0] != embedding.Shape[0])
        {
            _warnings.Add(Problem.Warning($"{_adapter.Folder}: replaces the tied embedding of {_model.Path} by one of other size; the head follows it"));
            return;
        }

        _warnings.Add(Problem.Warning($"{_adapter.Folder}: changes the embedding of {_model.Path}, to which lm_head is tied; as in training, the head keeps the old rows and is written apart"));
        _changed[_head!] = old with { Name = _head! };
        _unties = true;
    }

    /// <summary>The model's tensor of that name; names may differ in leading parts, as between a model with a head and one without.</summary>
    private TensorInfo? Find(string name)
    {
        for (var rest = name; rest.Contains('.', StringComparison.Ordinal); rest = rest[(rest.IndexOf('.', StringComparison.Ordinal) + 1)..])
        {
            if (_model.Find(rest) is { } found)
                return found;
            if (rest == _head && _embedding is not null)
                return _model.Find(_embedding);
        }

        var longer = _model.Tensors.Where(tensor => tensor.Name.EndsWith("." + name, StringComparison.Ordinal)).Take(2).ToList();
        return longer.Count == 1 ? longer[0] : null;
    }

    /// <summary>The head that the model does not store because the embedding stands in for it, and that embedding; nulls where that is not so.</summary>
    private static (string? Head, string? Embedding) TiedHead(ModelConfig? config, Checkpoint model)
    {
        var head = config is null ? null : ArchitectureCatalog.Find(config)?.Weights(config).FirstOrDefault(weight => weight.Role == TensorRole.Head && weight.TiedTo is not null);
        var isTied = head is not null && head.AllNames.All(name => model.Find(name) is null) && model.Find(head.TiedTo!) is not null;
        return isTied ? (head!.Name, head.TiedTo) : (head?.Name, null);
    }

    private static ModelConfig Untied(ModelConfig config)
    {
        var json = (JsonObject)config.Json.DeepClone();
        json["tie_word_embeddings"] = false;
        return ModelConfig.Of(config.File, json);
    }
}
