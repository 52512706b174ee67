using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Makes an output tensor in memory instead of in a file.</summary>
public static class JobMemory
{
    private const int ChunkElements = 2 * TensorInputs.BlockElements;

    /// <summary>The tensor's elements, rounded to the type that it is written in.</summary>
    /// <param name="job">The tensor.</param>
    /// <param name="seed">The run's random seed.</param>
    public static float[] Compute(TensorJob job, ulong seed)
    {
        var result = new float[job.Count];
        using var pool = new WorkerPool(1, _ => new WorkerBuffers(job.Sources.Count + Chunk.ScratchRows + 1, ChunkElements), CancellationToken.None);
        pool.Add(worker =>
        {
            var inputs = new TensorInputs(job, seed, worker);
            var combine = job.Method.Prepare(inputs);
            inputs.ForEachChunk(chunk => combine(chunk, result.AsSpan((int)chunk.Start, chunk.Length)));
        });
        pool.Run();
        TensorCodec.Round(job.OutputType, result);
        return result;
    }
}
