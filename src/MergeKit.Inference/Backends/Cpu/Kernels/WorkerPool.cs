using System.Runtime.ExceptionServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// A fixed set of threads for loops of a few microseconds. The caller is worker 0; the others spin for a moment after each loop and then
/// park.
/// A loop never waits for a parked thread to wake: whoever is awake takes the next indices.
/// </summary>
/// <remarks>One loop at a time: a second one, from inside a body or from another thread, is refused.</remarks>
public sealed class WorkerPool : IDisposable
{
    private const int SpinIterations = 2_000;

    /// <summary>Loops of many short bodies hand out indices in runs, this many per thread.</summary>
    private const int PiecesPerThread = 64;

    private readonly Helper[] _helpers;
    private readonly ScratchMemory[] _scratch;
    private readonly ScratchMemory _shared = new();
    private volatile Loop? _current;
    private volatile bool _stopping;
    private int _busy;

    /// <summary>What workers do while they wait for a loop.</summary>
    internal LookAhead LookAhead { get; } = new();

    /// <summary>Starts <paramref name="threads"/> - 1 background threads.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one thread or more than 1,024.</exception>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        Threads = threads;
        _scratch = new ScratchMemory[threads];
        for (var worker = 0; worker < threads; worker++)
            _scratch[worker] = new ScratchMemory();
        _helpers = new Helper[threads - 1];
        for (var i = 0; i < _helpers.Length; i++)
            _helpers[i] = new Helper(this, i + 1);
    }

    /// <summary>Workers in use, the caller among them.</summary>
    public int Threads { get; private set; }

    /// <summary>
    /// Calls <paramref name="body"/>(index, worker) once for every index below <paramref name="count"/>, in any order, on any worker, and
    /// returns when all have returned.
    /// After an exception no further index is started; the first exception is thrown to the caller.
    /// </summary>
    /// <exception cref="InvalidOperationException">A loop is already running on this pool.</exception>
    /// <exception cref="ObjectDisposedException">The pool was disposed of.</exception>
    public void For(int count, Action<int, int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        ObjectDisposedException.ThrowIf(_stopping, this);
        if (Interlocked.Exchange(ref _busy, 1) != 0)
            throw new InvalidOperationException("this WorkerPool is already running a loop: loops do not nest, and a pool serves one caller at a time");
        try
        {
            if (Threads == 1 || count <= 1)
                RunAlone(count, body);
            else
                RunTogether(new Loop(count, Math.Max(1, count / (Threads * PiecesPerThread)), body));
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>Uses so many of the threads from the next loop on, at least one and at most all; the others stay parked. Not to be called while a loop runs.</summary>
    public void Use(int threads) => Threads = Math.Clamp(threads, 1, _helpers.Length + 1);

    /// <summary>Stops and joins the threads. Not to be called while a loop runs.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        Interlocked.MemoryBarrier();
        foreach (var helper in _helpers)
            helper.Dispose();
    }

    /// <summary>
    /// At least <paramref name="floats"/> floats at a multiple of 64 bytes, private to a worker, kept from loop to loop; contents are
    /// undefined.
    /// A later call for the same worker invalidates the earlier answer.
    /// </summary>
    internal unsafe float* Scratch(int worker, long floats) => _scratch[worker].Reserve(floats);

    /// <summary>As <see cref="Scratch"/>, but one block for all workers, to be reserved before a loop.</summary>
    internal unsafe float* SharedScratch(long floats) => _shared.Reserve(floats);

    private static void RunAlone(int count, Action<int, int> body)
    {
        for (var index = 0; index < count; index++)
            body(index, 0);
    }

    private void RunTogether(Loop loop)
    {
        _current = loop;
        Interlocked.MemoryBarrier();
        var wanted = Math.Min(Threads, loop.Count) - 1;
        for (var i = 0; i < wanted; i++)
            _helpers[i].Wake();
        loop.Work(0);
        loop.WaitForOthers();
        _current = null;
        loop.Error?.Throw();
    }

    /// <summary>One loop. A helper that arrives late finds no index left and does no harm.</summary>
    private sealed class Loop(int count, int grain, Action<int, int> body)
    {
        private PaddedCounter _next;
        private PaddedCounter _active;
        private ExceptionDispatchInfo? _error;

        public int Count => count;

        public ExceptionDispatchInfo? Error => Volatile.Read(ref _error);

        public void Help(int worker)
        {
            Interlocked.Increment(ref _active.Value);
            Work(worker);
            if (Interlocked.Decrement(ref _active.Value) != 0)
                return;
            lock (this)
                Monitor.PulseAll(this);
        }

        public void Work(int worker)
        {
            try
            {
                long first;
                while ((first = Interlocked.Add(ref _next.Value, grain) - grain) < count)
                {
                    var end = Math.Min(count, first + grain);
                    for (var index = first; index < end; index++)
                        body((int)index, worker);
                }
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref _error, ExceptionDispatchInfo.Capture(exception), null);
                Interlocked.Exchange(ref _next.Value, count);
            }
        }

        public void WaitForOthers()
        {
            for (var i = 0; i < 4 * SpinIterations; i++)
            {
                if (Volatile.Read(ref _active.Value) == 0)
                    return;
                Thread.SpinWait(1);
            }

            lock (this)
            {
                while (Volatile.Read(ref _active.Value) != 0)
                    Monitor.Wait(this);
            }
        }
    }

    /// <summary>A background thread and its parking place.</summary>
    private sealed class Helper : IDisposable
    {
        private readonly WorkerPool _pool;
        private readonly int _worker;
        private readonly SemaphoreSlim _wake = new(0);
        private readonly Thread _thread;
        private int _parked;

        public Helper(WorkerPool pool, int worker)
        {
            _pool = pool;
            _worker = worker;
            _thread = new Thread(Run) { IsBackground = true, Name = $"kernel worker {worker}" };
            _thread.Start();
        }

        public void Wake()
        {
            if (Volatile.Read(ref _parked) != 0 && Interlocked.Exchange(ref _parked, 0) != 0)
                _wake.Release();
        }

        public void Dispose()
        {
            Wake();
            _thread.Join();
            _wake.Dispose();
        }

        private void Run()
        {
            Loop? last = null;
            while (!_pool._stopping)
            {
                var loop = _pool._current;
                if (loop == last)
                {
                    Idle(last);
                    continue;
                }

                last = loop;
                if (_worker < _pool.Threads)
                    loop?.Help(_worker);
            }
        }

        private void Idle(Loop? last)
        {
            for (var i = 0; i < SpinIterations; i++)
            {
                if (_pool._current != last || _pool._stopping)
                    return;
                if (!_pool.LookAhead.Step(_worker))
                    Thread.SpinWait(1);
            }

            Interlocked.Exchange(ref _parked, 1);
            if ((_pool._current != last || _pool._stopping) && Interlocked.Exchange(ref _parked, 0) != 0)
                return;
            _wake.Wait();
        }
    }
}
