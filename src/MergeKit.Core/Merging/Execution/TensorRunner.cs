using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Makes one output tensor and writes it in place.</summary>
internal sealed class TensorRunner(MergePlan plan, MergeProgress progress)
{
    /// <summary>Elements that are combined, rounded and checked at a time: a few rows of them stay in the first-level cache.</summary>
    private const int PartElements = 2048;

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
        var inputs = new TensorInputs(job, plan.Options.Seed, worker);
        var combine = job.Method.Prepare(inputs);
        var (checksum, notFinite, size) = (0UL, 0L, job.OutputType.Size());
        inputs.ForEachChunk(chunk =>
        {
            var bytes = chunk.Bytes[..(chunk.Length * size)];
            var bad = 0L;
            for (var at = 0; at < chunk.Length; at += PartElements)
            {
                var part = chunk.Part(at, Math.Min(PartElements, chunk.Length - at));
                var result = part.Result;
                combine(part, result);
                TensorCodec.Encode(job.OutputType, result, bytes.Slice(at * size, result.Length * size));
                bad += CountNotFinite(result);
            }

            file.Write(position, chunk.Start * size, bytes);
            Interlocked.Add(ref checksum, BlockChecksum.Of(bytes, chunk.Start, size));
            if (bad > 0)
                Interlocked.Add(ref notFinite, bad);
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

    private static long CountNotFinite(ReadOnlySpan<float> values)
    {
        var exponent = Vector512.Create(0x7F800000u);
        ref var from = ref MemoryMarshal.GetReference(MemoryMarshal.Cast<float, uint>(values));
        var (count, i) = (0L, 0);
        for (; i <= values.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
            count += BitOperations.PopCount(Vector512.Equals(Vector512.LoadUnsafe(ref from, (nuint)i) & exponent, exponent).ExtractMostSignificantBits());
        for (; i < values.Length; i++)
            count += float.IsFinite(values[i]) ? 0 : 1;
        return count;
    }
}
