using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inspection;

/// <summary>One tensor of a model, and its partner in the other model where two are compared.</summary>
/// <param name="Tensor">What the header says; null where only the other model has the tensor.</param>
/// <param name="Other">The other model's tensor of that name; null where there is none.</param>
public sealed record InspectedTensor(TensorInfo? Tensor, TensorInfo? Other)
{
    /// <summary>The tensor's name.</summary>
    public string Name => (Tensor ?? Other!).Name;

    /// <summary>Layer and component.</summary>
    public ComponentName Place => ComponentName.Parse(Name);

    /// <summary>Statistics of the elements; null where no data was read.</summary>
    public TensorStatistics? Statistics { get; internal set; }

    /// <summary>The difference from the other model's tensor; null where they cannot be compared or no data was read.</summary>
    public TensorDifference? Difference { get; internal set; }

    /// <summary>Why the two cannot be compared, or null.</summary>
    public string? Mismatch => (Tensor, Other) switch
    {
        (null, _) => "only in the other model",
        (_, null) => "missing in the other model",
        var (a, b) when !a.Shape.SequenceEqual(b.Shape) => $"other shape: {b.ShapeText}",
        _ => null,
    };
}

/// <summary>A model's headers and, once read, its tensors' statistics.</summary>
public sealed class ModelInspection
{
    private static readonly string[] TokenizerNames = ["tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json"];

    internal ModelInspection(Checkpoint model, Checkpoint? other, IReadOnlyList<InspectedTensor> tensors)
    {
        (Path, OtherPath, Tensors) = (model.Path, other?.Path, tensors);
        Files = [.. model.Files.Select(header => (header.File, new FileInfo(header.File).Length))];
        Metadata = model.Files.SelectMany(header => header.Metadata).DistinctBy(pair => pair.Key).ToDictionary(StringComparer.Ordinal);
        Problems = [.. model.Warnings, .. other?.Warnings ?? []];
        TokenizerFiles = Directory.Exists(model.Path) ? [.. TokenizerNames.Where(name => File.Exists(System.IO.Path.Combine(model.Path, name)))] : [];
        if (!File.Exists(System.IO.Path.Combine(model.Path, "config.json")))
            return;
        var config = ModelConfig.Read(model.Path);
        ArchitectureName = config.Architecture ?? config.ModelType;
        IsKnownArchitecture = ArchitectureCatalog.Find(config) is not null;
    }

    /// <summary>The inspected folder or file.</summary>
    public string Path { get; }

    /// <summary>What it is compared with, or null.</summary>
    public string? OtherPath { get; }

    /// <summary>The class name (else model type) in config.json; null where there is none.</summary>
    public string? ArchitectureName { get; }

    /// <summary>Whether there is a declaration of that architecture.</summary>
    public bool IsKnownArchitecture { get; }

    /// <summary>The weight files and their lengths in bytes.</summary>
    public IReadOnlyList<(string File, long Bytes)> Files { get; }

    /// <summary>The headers' free-form strings; of equal keys the first file's.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The tokenizer's files beside the weights.</summary>
    public IReadOnlyList<string> TokenizerFiles { get; }

    /// <summary>What was odd but usable.</summary>
    public IReadOnlyList<Problem> Problems { get; }

    /// <summary>The tensors, in the order of files and bytes; those that only the other model has come last.</summary>
    public IReadOnlyList<InspectedTensor> Tensors { get; }

    /// <summary>Elements of the model's (selected) tensors.</summary>
    public long Parameters => Tensors.Sum(tensor => tensor.Tensor?.ElementCount ?? 0);

    /// <summary>The differences added up over groups of tensors, in order of first appearance.</summary>
    /// <param name="key">The group of a tensor's place.</param>
    public IReadOnlyList<(TKey Key, TensorDifference Sum)> Differences<TKey>(Func<ComponentName, TKey> key) where TKey : notnull =>
        [.. Tensors.Where(tensor => tensor.Difference is not null).GroupBy(tensor => key(tensor.Place))
            .Select(group => (group.Key, group.Aggregate(default(TensorDifference), (sum, tensor) => sum + tensor.Difference!.Value)))];

    /// <summary>The statistics added up over groups of tensors, in order of first appearance.</summary>
    /// <param name="key">The group of a tensor's place.</param>
    public IReadOnlyList<(TKey Key, TensorStatistics Sum)> Statistics<TKey>(Func<ComponentName, TKey> key) where TKey : notnull =>
        [.. Tensors.Where(tensor => tensor.Statistics is not null).GroupBy(tensor => key(tensor.Place))
            .Select(group => (group.Key, group.Aggregate(TensorStatistics.Empty, (sum, tensor) => sum + tensor.Statistics!.Value)))];
}
