using System.Runtime.ExceptionServices;

namespace MergeKit.Core.Merging.Execution;

/// <summary>A loop whose iterations are handed out one by one to whoever asks.</summary>
internal sealed class SharedLoop(int count, Action<int, Worker> body)
{
    private readonly object _gate = new();
    private int _next;
    private int _helpers;
    private ExceptionDispatchInfo? _failure;

    public int Count => count;

    public bool Exhausted => Volatile.Read(ref _next) >= count;

    /// <summary>Runs iterations until none is left.</summary>
    public void Help(Worker worker, Func<bool> stopping)
    {
        lock (_gate)
            _helpers++;

        try
        {
            while (_failure is null && !stopping())
            {
                var index = Interlocked.Increment(ref _next) - 1;
                if (index >= count)
                    break;
                body(index, worker);
            }
        }
        catch (Exception e)
        {
            _failure = ExceptionDispatchInfo.Capture(e);
            Volatile.Write(ref _next, count);
        }
        finally
        {
            lock (_gate)
            {
                if (--_helpers == 0)
                    Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Waits for the helpers still inside an iteration, then rethrows what failed.</summary>
    public void Wait()
    {
        lock (_gate)
        {
            while (_helpers > 0)
                Monitor.Wait(_gate);
        }

        _failure?.Throw();
    }
}
