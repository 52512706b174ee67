namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Runs loops on a fixed number of workers.</summary>
/// <remarks>One loop at a time: loops do not nest, and a pool serves one caller at a time.</remarks>
public sealed class WorkerPool : IDisposable
{
    private int _busy;

    /// <summary>A pool of <paramref name="threads"/> workers, the caller among them.</summary>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
    }

    /// <summary>Workers, the caller among them.</summary>
    public int Threads { get; }

    /// <summary>Calls <paramref name="body"/>(index, worker) once for every index below <paramref name="count"/> and returns when all have returned.</summary>
    public void For(int count, Action<int, int> body)
    {
        if (Interlocked.Exchange(ref _busy, 1) != 0)
            throw new InvalidOperationException("loops of a WorkerPool do not nest");
        try
        {
            if (Threads == 1 || count <= 1)
            {
                for (var index = 0; index < count; index++)
                    body(index, 0);
                return;
            }

            var next = -1;
            Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, worker =>
            {
                int index;
                while ((index = Interlocked.Increment(ref next)) < count)
                    body(index, worker);
            });
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
