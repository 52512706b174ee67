using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Keeps the memory bus busy between the products of a decoding step: idle workers ask for the first weights of the product that followed
/// the last one the time before. A wrong guess costs nothing but bandwidth that nobody used.
/// </summary>
/// <remarks>
/// What is noted lies side by side in the order of the products, because by the next step the weights have driven it out of all caches.
/// </remarks>
/// <param name="threads">The most workers.</param>
internal sealed unsafe class LookAhead(int threads)
{
    /// <summary>The most bytes per worker: a share of its second-level cache.</summary>
    private const long MostBytes = 384 * 1024;

    /// <summary>Bytes per step: after each, the worker looks whether there is work.</summary>
    private const int StepBytes = 1024;

    private readonly Dictionary<nint, int> _places = [];
    private readonly List<Note> _notes = [];
    private readonly List<(nint Address, long Bytes)> _starts = [];
    private readonly Share[] _wanted = new Share[threads];
    private readonly Share[] _done = new Share[threads];
    private int _last = -1;
    private long _round;

    /// <summary>Notes that a product begins, and what each worker reads first of it.</summary>
    /// <param name="key">Address of the product's first weight.</param>
    /// <param name="starts">Per worker in use, the run of bytes with which it begins.</param>
    public void Begin(nint key, ReadOnlySpan<(nint Address, long Bytes)> starts)
    {
        if (!Sse.IsSupported)
            return;
        var notes = CollectionsMarshal.AsSpan(_notes);
        var expected = _last < 0 ? -1 : notes[_last].Next;
        var place = expected >= 0 && notes[expected].Key == key ? expected : Find(key, starts);
        if (_last >= 0)
            CollectionsMarshal.AsSpan(_notes)[_last].Next = place;
        _last = place;
        Want(CollectionsMarshal.AsSpan(_notes)[place].Next);
    }

    /// <summary>Asks for a little more of what a worker will need; false where there is nothing left to ask for.</summary>
    public bool Step(int worker)
    {
        ref var wanted = ref _wanted[worker];
        ref var done = ref _done[worker];
        var round = Volatile.Read(ref wanted.Round);
        if (done.Round != round)
            done = wanted with { Round = round };
        var bytes = Math.Min(StepBytes, done.Bytes);
        for (long offset = 0; offset < bytes; offset += 64)
            Sse.Prefetch1((byte*)done.Address + offset);
        done.Address += (nint)bytes;
        done.Bytes -= bytes;
        return bytes > 0;
    }

    private int Find(nint key, ReadOnlySpan<(nint Address, long Bytes)> starts)
    {
        if (_places.TryGetValue(key, out var place))
            return place;
        _places[key] = place = _notes.Count;
        _notes.Add(new Note { Key = key, Next = -1 });
        for (var worker = 0; worker < threads; worker++)
            _starts.Add(worker < starts.Length ? starts[worker] : default);
        return place;
    }

    private void Want(int place)
    {
        _round++;
        for (var worker = 0; worker < threads; worker++)
        {
            var (address, bytes) = place < 0 ? default : _starts[(place * threads) + worker];
            ref var wanted = ref _wanted[worker];
            (wanted.Address, wanted.Bytes) = (address, Math.Min(bytes, MostBytes));
            Volatile.Write(ref wanted.Round, _round);
        }
    }

    /// <summary>A product and the place of the one that followed it; -1 where none is known.</summary>
    private struct Note
    {
        public nint Key;
        public int Next;
    }

    /// <summary>What a worker is to ask for, on a cache line of its own.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    private struct Share
    {
        public long Round;
        public nint Address;
        public long Bytes;
    }
}
