using System.Runtime.ExceptionServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Threads that take whole jobs in order, and help with the parallel loops of other jobs when no job is left.</summary>
/// <remarks>A job is ordinary sequential code; its <see cref="Worker.For"/> loops are shared with idle workers. The first exception stops everything.</remarks>
public sealed class WorkerPool : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Queue<Action<Worker>> _jobs = new();
    private readonly Queue<Action<Worker>> _urgent = new();
    private readonly List<SharedLoop> _loops = [];
    private readonly SemaphoreSlim _wake = new(0);
    private readonly int _threads;
    private readonly Func<int, WorkerBuffers> _buffers;
    private readonly CancellationToken _cancellation;
    private int _running;
    private ExceptionDispatchInfo? _failure;

    /// <summary>A pool of <paramref name="threads"/> workers, each with its own buffers.</summary>
    public WorkerPool(int threads, Func<int, WorkerBuffers> buffers, CancellationToken cancellation) =>
        (_threads, _buffers, _cancellation) = (threads, buffers, cancellation);

    /// <summary>What decomposes matrices for the jobs.</summary>
    internal MatrixWork Matrices { get; init; } = new(new CpuDecomposer(), null);

    /// <summary>Whether work should stop.</summary>
    internal bool Stopping => _failure is not null || _cancellation.IsCancellationRequested;

    /// <summary>Queues a job behind the others.</summary>
    public void Add(Action<Worker> job) => Enqueue(_jobs, job);

    /// <summary>Queues a job ahead of all ordinary ones.</summary>
    public void AddUrgent(Action<Worker> job) => Enqueue(_urgent, job);

    /// <summary>Runs until no job is left; jobs may add jobs.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public void Run()
    {
        if (_threads == 1)
            Work(0);
        else
            RunThreads();
        _failure?.Throw();
        _cancellation.ThrowIfCancellationRequested();
    }

    private void RunThreads()
    {
        var threads = Enumerable.Range(0, _threads).Select(index => new Thread(() => Work(index)) { IsBackground = true, Name = $"merge-{index}" }).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
    }

    /// <summary>Makes a loop visible to idle workers, runs it with their help, and returns when all of it is done.</summary>
    internal void Share(SharedLoop loop, Worker worker)
    {
        if (_threads > 1 && loop.Count > 1)
        {
            lock (_gate)
                _loops.Add(loop);
            _wake.Release();
        }

        loop.Help(worker, () => Stopping);
        lock (_gate)
            _loops.Remove(loop);
        loop.Wait();
        if (Stopping)
            throw new OperationCanceledException(_cancellation);
    }

    /// <inheritdoc/>
    public void Dispose() => _wake.Dispose();

    private void Enqueue(Queue<Action<Worker>> queue, Action<Worker> job)
    {
        lock (_gate)
            queue.Enqueue(job);
        _wake.Release();
    }

    private void Work(int index)
    {
        try
        {
            using var buffers = _buffers(index);
            Work(new Worker(this, buffers));
        }
        catch (OutOfMemoryException e)
        {
            Fail(new EnvironmentException("there is not enough memory for the workers' buffers; use fewer threads (--num-threads) or a smaller --chunk-size", e));
        }
    }

    private void Fail(Exception e) => Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);

    private void Work(Worker worker)
    {
        while (!Stopping && Next(out var job, out var loop))
        {
            try
            {
                if (loop is not null)
                    loop.Help(worker, () => Stopping);
                else if (job is not null)
                    job(worker);
                else
                    _wake.Wait(5);
            }
            catch (Exception e)
            {
                if (e is not OperationCanceledException)
                    Fail(e);
            }
            finally
            {
                if (job is not null && Interlocked.Decrement(ref _running) == 0 && _threads > 1)
                    _wake.Release(_threads);
            }
        }
    }

    /// <summary>The next thing to do: an urgent job, a job, a loop to help with, or (both null) a pause. False: all is done.</summary>
    private bool Next(out Action<Worker>? job, out SharedLoop? loop)
    {
        lock (_gate)
        {
            loop = null;
            if (_urgent.TryDequeue(out job) || _jobs.TryDequeue(out job))
            {
                Interlocked.Increment(ref _running);
                return true;
            }

            loop = _loops.FirstOrDefault(candidate => !candidate.Exhausted);
            return loop is not null || Volatile.Read(ref _running) > 0;
        }
    }
}

/// <summary>One thread of the pool with its buffers.</summary>
public sealed class Worker(WorkerPool pool, WorkerBuffers buffers)
{
    /// <summary>The thread's own buffers.</summary>
    public WorkerBuffers Buffers { get; } = buffers;

    /// <summary>What decomposes matrices.</summary>
    internal MatrixWork Matrices => pool.Matrices;

    /// <summary>Calls <paramref name="body"/> for 0 .. count-1, on this and on idle workers.</summary>
    public void For(int count, Action<int, Worker> body) => pool.Share(new SharedLoop(count, body), this);
}
