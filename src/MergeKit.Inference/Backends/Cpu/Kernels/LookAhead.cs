using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Keeps the memory bus busy between the products of a decoding step: idle workers ask for the first weights of the product that followed
/// the last one the time before. A wrong guess costs nothing but bandwidth that nobody used.
/// </summary>
internal sealed unsafe class LookAhead
{
    /// <summary>The most bytes per worker: a share of its second-level cache.</summary>
    private const long MostBytes = 384 * 1024;

    /// <summary>Bytes per step: after each, the worker looks whether there is work.</summary>
    private const int StepBytes = 2048;

    private readonly Dictionary<nint, Upcoming> _followers = [];
    private volatile Upcoming? _upcoming;
    private nint _last;

    /// <summary>Notes that a product begins, and what each worker reads first of it.</summary>
    /// <param name="key">Address of the product's first weight.</param>
    /// <param name="starts">Per worker, the run of bytes with which it begins.</param>
    public void Begin(nint key, ReadOnlySpan<(nint Address, long Bytes)> starts)
    {
        if (!Sse.IsSupported)
            return;
        if (_last != 0 && !(_followers.TryGetValue(_last, out var follower) && follower.Key == key))
            _followers[_last] = new Upcoming(key, starts.ToArray());
        _last = key;
        var next = _followers.GetValueOrDefault(key);
        next?.Restart();
        _upcoming = next;
    }

    /// <summary>Asks for a little more of what a worker will need; false where there is nothing left to ask for.</summary>
    public bool Step(int worker) => _upcoming?.Step(worker) ?? false;

    private sealed class Upcoming(nint key, (nint Address, long Bytes)[] starts)
    {
        private readonly PaddedCounter[] _done = new PaddedCounter[starts.Length];

        public nint Key => key;

        public void Restart()
        {
            for (var worker = 0; worker < _done.Length; worker++)
                Volatile.Write(ref _done[worker].Value, 0);
        }

        public bool Step(int worker)
        {
            if (worker >= starts.Length)
                return false;
            var (address, bytes) = starts[worker];
            var from = Volatile.Read(ref _done[worker].Value);
            var to = Math.Min(from + StepBytes, Math.Min(bytes, MostBytes));
            for (var offset = from; offset < to; offset += 64)
                Sse.Prefetch1((byte*)address + offset);
            Volatile.Write(ref _done[worker].Value, to);
            return from < to;
        }
    }
}
