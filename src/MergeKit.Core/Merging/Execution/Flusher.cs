using System.Runtime.ExceptionServices;
using MergeKit.Core.Checkpoints.Writing;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Starts the disk early: a thread of its own that flushes the files while workers go on, so that little is left at the end.</summary>
internal sealed class Flusher : IDisposable
{
    private const long StepBytes = 64 << 20;
    private readonly IReadOnlyList<ShardFile> _files;
    private readonly MergeProgress _progress;
    private readonly ManualResetEventSlim _stop = new(false);
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    public Flusher(IReadOnlyList<ShardFile> files, MergeProgress progress)
    {
        (_files, _progress) = (files, progress);
        _thread = new Thread(Work) { IsBackground = true, Name = "flush" };
        _thread.Start();
    }

    /// <summary>Flushes everything and reports what failed meanwhile.</summary>
    public void Finish()
    {
        Stop();
        _failure?.Throw();
        foreach (var file in _files)
            file.FlushToDisk();
    }

    public void Dispose()
    {
        Stop();
        _stop.Dispose();
    }

    private void Stop()
    {
        _stop.Set();
        if (_thread.IsAlive)
            _thread.Join();
    }

    private void Work()
    {
        var (flushed, first) = (0L, 0);
        while (!_stop.Wait(20))
        {
            if (_progress.Bytes - flushed < StepBytes)
                continue;
            try
            {
                flushed = _progress.Bytes;
                var complete = Enumerable.Range(first, _files.Count - first).TakeWhile(i => _files[i].IsComplete).Count();
                foreach (var file in _files.Skip(first).Take(complete + 1))
                    file.FlushToDisk();
                first += complete;
            }
            catch (Exception e)
            {
                _failure = ExceptionDispatchInfo.Capture(e);
                return;
            }
        }
    }
}
