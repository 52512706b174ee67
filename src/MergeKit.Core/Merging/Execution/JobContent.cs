using System.Collections.Concurrent;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>An output tensor that is worked out whenever it is read, chunk by chunk, instead of being written: the same bits either way.</summary>
/// <param name="job">The tensor.</param>
/// <param name="seed">The run's random seed.</param>
/// <param name="workers">Buffers, shared by the tensors of a plan.</param>
internal sealed class JobContent(TensorJob job, ulong seed, JobWorkers workers) : ITensorContent
{
    private readonly Lock _gate = new();
    private ChunkCombiner? _combine;

    public string Form => job.Method.Description.Name;

    public void Read(long start, Span<float> destination)
    {
        var worker = workers.Take();
        try
        {
            if (job.Method.IsCopy(job) && job.Sources[0].Data.Type == job.OutputType)
                Copy(start, destination, worker);
            else
                Combine(start, destination, worker);
        }
        finally
        {
            workers.Return(worker);
        }
    }

    private void Copy(long start, Span<float> destination, Worker worker)
    {
        for (var done = 0; done < destination.Length; done += worker.Buffers.ChunkElements)
            job.Sources[0].Data.Read(start + done, destination.Slice(done, Math.Min(worker.Buffers.ChunkElements, destination.Length - done)), worker.Buffers.Bytes);
    }

    private void Combine(long start, Span<float> destination, Worker worker)
    {
        var inputs = new TensorInputs(job, seed, worker);
        var combine = Prepared(inputs);
        for (var done = 0; done < destination.Length; done += worker.Buffers.ChunkElements)
        {
            var count = Math.Min(worker.Buffers.ChunkElements, destination.Length - done);
            inputs.Range(start + done, count, chunk => combine(chunk, chunk.Result));
            worker.Buffers.Row(job.Sources.Count + Chunk.ScratchRows)[..count].CopyTo(destination[done..]);
        }

        TensorCodec.Round(job.OutputType, destination);
    }

    private ChunkCombiner Prepared(TensorInputs inputs)
    {
        lock (_gate)
            return _combine ??= job.Method.Prepare(inputs);
    }
}

/// <summary>Single workers for reading tensors that are worked out, made as needed and kept.</summary>
/// <param name="rows">Rows of floats of each.</param>
/// <param name="chunkElements">Elements of a row.</param>
/// <param name="decomposer">What decomposes matrices.</param>
internal sealed class JobWorkers(int rows, int chunkElements, IDecomposer decomposer) : IDisposable
{
    private readonly ConcurrentBag<Worker> _free = [];
    private readonly ConcurrentBag<WorkerBuffers> _all = [];
    private readonly WorkerPool _pool = new(1, _ => throw new InvalidOperationException("the pool itself does no work"), CancellationToken.None) { Matrices = new(decomposer, null) };

    public Worker Take()
    {
        if (_free.TryTake(out var worker))
            return worker;
        var buffers = new WorkerBuffers(rows, chunkElements);
        _all.Add(buffers);
        return new Worker(_pool, buffers);
    }

    public void Return(Worker worker) => _free.Add(worker);

    public void Dispose()
    {
        foreach (var buffers in _all)
            buffers.Dispose();
        _pool.Dispose();
    }
}
