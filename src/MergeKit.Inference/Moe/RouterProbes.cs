using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging;
using MergeKit.Core.Moe;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Moe;

/// <summary>Opens models for probing.</summary>
/// <param name="threads">Workers on the CPU.</param>
/// <param name="device">Where they run.</param>
public sealed class RouterProbes(int threads, DeviceChoice device = default) : IRouterProbes
{
    /// <inheritdoc/>
    public IRouterProbe OpenPlanned(string name, ModelConfig config, IReadOnlyList<TensorJob> jobs, ulong seed) =>
        RouterProbe.Open(config, new PlannedWeights(name, jobs, seed), threads, device);

    /// <inheritdoc/>
    public IRouterProbe OpenFolder(string folder) => RouterProbe.Open(ModelConfig.Read(folder), new CheckpointWeightSource(Checkpoint.Open(folder)), threads, device);

    /// <inheritdoc/>
    public IReadOnlyList<string> ReadTexts(string path) => DataSetReader.Read(path) is TextDataSet { Documents: var documents } && documents.Any(text => text.Length > 0)
        ? documents
        : throw new InputException($"{path}: holds no text; wanted a UTF-8 text, or JSONL with {{\"text\": ...}} lines");
}
