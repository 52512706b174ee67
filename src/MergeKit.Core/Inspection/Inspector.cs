using System.Text.RegularExpressions;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;

namespace MergeKit.Core.Inspection;

/// <summary>What to look at.</summary>
public sealed record InspectOptions
{
    /// <summary>Read headers only, no data.</summary>
    public bool HeadersOnly { get; init; }

    /// <summary>Only tensors whose names this finds; null: all.</summary>
    public Regex? Filter { get; init; }

    /// <summary>Worker threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>Streams through one or two models with all cores and bounded memory. Results do not depend on the number of threads: they are
/// formed per fixed range and added in order.</summary>
public static class Inspector
{
    private const int ChunkElements = 65536, PartElements = 16384;

    /// <summary>Inspects a model folder or safetensors file, alone or against another.</summary>
    /// <exception cref="Diagnostics.InputException">A model is missing or malformed.</exception>
    public static ModelInspection Inspect(string path, string? otherPath, InspectOptions options, CancellationToken cancellation)
    {
        using var model = Checkpoint.Open(path);
        using var other = otherPath is null ? null : Checkpoint.Open(otherPath);
        bool Wanted(TensorInfo tensor) => options.Filter?.IsMatch(tensor.Name) ?? true;
        List<InspectedTensor> tensors = [.. model.Tensors.Where(Wanted).Select(tensor => new InspectedTensor(tensor, other?.Find(tensor.Name)))];
        if (other is not null)
            tensors.AddRange(other.Tensors.Where(tensor => Wanted(tensor) && model.Find(tensor.Name) is null).Select(tensor => new InspectedTensor(null, tensor)));
        if (!options.HeadersOnly)
        {
            using var pool = new WorkerPool(options.Threads, _ => new WorkerBuffers(2, ChunkElements), cancellation);
            foreach (var tensor in tensors.Where(tensor => tensor.Tensor is not null))
                pool.Add(worker => Read(tensor, model, other, worker));
            pool.Run();
        }

        return new ModelInspection(model, other, tensors);
    }

    private static void Read(InspectedTensor tensor, Checkpoint model, Checkpoint? other, Worker worker)
    {
        var count = tensor.Tensor!.ElementCount;
        var source = new CheckpointSource(model, tensor.Tensor, count, null);
        var partner = other is null || tensor.Mismatch is not null ? null : new CheckpointSource(other, tensor.Other!, count, null);
        var chunks = checked((int)((count + ChunkElements - 1) / ChunkElements));
        var statistics = new TensorStatistics[chunks];
        var differences = new TensorDifference[partner is null ? 0 : chunks];
        worker.For(chunks, (index, helper) =>
        {
            var (start, sum, difference) = ((long)index * ChunkElements, TensorStatistics.Empty, default(TensorDifference));
            for (var end = Math.Min(start + ChunkElements, count); start < end; start += PartElements)
            {
                var length = (int)Math.Min(PartElements, end - start);
                var values = helper.Buffers.Row(0)[..length];
                source.Read(start, values, helper.Buffers.Bytes);
                sum += ElementSums.Of(values);
                if (partner is null)
                    continue;
                var others = helper.Buffers.Row(1)[..length];
                partner.Read(start, others, helper.Buffers.Bytes);
                difference += ElementSums.Between(values, others);
            }

            statistics[index] = sum;
            if (partner is not null)
                differences[index] = difference;
        });
        tensor.Statistics = statistics.Aggregate(TensorStatistics.Empty, (sum, part) => sum + part);
        if (partner is not null)
            tensor.Difference = differences.Aggregate(default(TensorDifference), (sum, part) => sum + part);
    }
}
