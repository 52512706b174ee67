using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Makes one output tensor and writes it in place.</summary>
internal sealed class TensorRunner(MergePlan plan, MergeProgress progress)
{
    /// <summary>Writes the tensor; returns its checksum and how many elements are not finite.</summary>
    public (ulong Checksum, long NotFinite) Make(TensorJob job, ShardFile file, int position, Worker worker)
    {
        var single = job.Sources[0].Data;
        return job.Method.IsCopy(job) && single.Type == job.OutputType && single.Verbatim is not null
            ? (CopyBytes(job, file, position, worker), 0)
            : Compute(job, file, position, worker);
    }

    private (ulong, long) Compute(TensorJob job, ShardFile file, int position, Worker worker)
    {
        var (checksum, size) = (0UL, job.OutputType.Size());
        var notFinite = TensorComputation.Make(job, plan.Options.Seed, worker, (start, bytes) =>
        {
            file.Write(position, start * size, bytes);
            Interlocked.Add(ref checksum, BlockChecksum.Of(bytes, start, size));
            progress.AddBytes(bytes.Length);
        });
        return (checksum, notFinite);
    }

    private ulong CopyBytes(TensorJob job, ShardFile file, int position, Worker worker)
    {
        var (checkpoint, tensor) = job.Sources[0].Data.Verbatim!.Value;
        var (checksum, size, step) = (0UL, job.OutputType.Size(), worker.Buffers.ChunkElements);
        worker.For(checked((int)((job.Count + step - 1) / step)), (index, helper) =>
        {
            var first = (long)index * step;
            var bytes = helper.Buffers.Bytes[..((int)Math.Min(step, job.Count - first) * size)];
            checkpoint.Read(tensor, first * size, bytes);
            file.Write(position, first * size, bytes);
            Interlocked.Add(ref checksum, BlockChecksum.Of(bytes, first, size));
            progress.AddBytes(bytes.Length);
        });
        return checksum;
    }
}
