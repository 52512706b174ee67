using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Makes a single output tensor in memory instead of in a file.</summary>
public static class JobMemory
{
    private const int ChunkElements = 2 * TensorInputs.BlockElements;

    /// <summary>The tensor's bytes as they would be written, in an array that stays where it is (pinned).</summary>
    /// <param name="job">The tensor.</param>
    /// <param name="seed">The run's random seed.</param>
    /// <param name="decomposer">What decomposes matrices; null for the CPU.</param>
    public static byte[] Make(TensorJob job, ulong seed, IDecomposer? decomposer = null)
    {
        var (bytes, size) = (GC.AllocateUninitializedArray<byte>(checked((int)job.ByteLength), pinned: true), job.OutputType.Size());
        using var pool = new WorkerPool(1, _ => new WorkerBuffers(job.Sources.Count + Chunk.ScratchRows + 1, ChunkElements), CancellationToken.None) { Matrices = new(decomposer ?? new CpuDecomposer(), null) };
        pool.Add(worker => TensorComputation.Make(job, seed, worker, (start, part) => part.CopyTo(bytes.AsSpan(checked((int)(start * size))))));
        pool.Run();
        return bytes;
    }
}
