using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Pages of 64 positions for all sequences: per layer one pool of keys and one of values, [page][kv head][64][width].</summary>
internal sealed class KvPool(CudaContext cuda, NetworkSpec network, CudaType type) : IDisposable
{
    /// <summary>Positions of a page.</summary>
    public const int PageSize = 64;

    private const int FirstPages = 64;
    private readonly Stack<int> _free = new();
    private readonly Lock _gate = new();
    private readonly DeviceBuffer?[] _keys = new DeviceBuffer?[network.Layers.Count], _values = new DeviceBuffer?[network.Layers.Count];
    private int _pages;

    /// <summary>Pages that no sequence holds.</summary>
    public int FreePages => _free.Count;

    /// <summary>Keys of a layer.</summary>
    public nint Keys(int layer) => _keys[layer]!.Pointer;

    /// <summary>Values of a layer.</summary>
    public nint Values(int layer) => _values[layer]!.Pointer;

    /// <summary>Takes a page; the pool doubles where none is free.</summary>
    public int Take()
    {
        lock (_gate)
        {
            if (_free.Count == 0)
                Grow(_pages == 0 ? FirstPages : checked(2 * _pages));
            return _free.Pop();
        }
    }

    /// <summary>Gives a page back.</summary>
    public void Return(int page)
    {
        lock (_gate)
            _free.Push(page);
    }

    /// <summary>Copies whole pages, in every layer.</summary>
    public void Copy(IReadOnlyList<int> from, IReadOnlyList<int> to)
    {
        for (var layer = 0; layer < _keys.Length; layer++)
        {
            var spec = network.Layers[layer].Attention;
            foreach (var (buffer, width) in new[] { (_keys[layer]!, spec.KvHeads * spec.HeadDim), (_values[layer]!, spec.KvHeads * spec.ValueDim) })
            {
                var bytes = (long)PageSize * width * type.Size();
                for (var i = 0; i < from.Count; i++)
                    cuda.Stream.Copy((nint)(buffer.Pointer + to[i] * bytes), (nint)(buffer.Pointer + from[i] * bytes), bytes);
            }
        }
    }

    public void Dispose()
    {
        foreach (var buffer in _keys.Concat(_values))
            buffer?.Dispose();
    }

    private void Grow(int pages)
    {
        for (var layer = 0; layer < _keys.Length; layer++)
        {
            var spec = network.Layers[layer].Attention;
            _keys[layer] = Move(_keys[layer], spec.KvHeads * spec.HeadDim, pages);
            _values[layer] = Move(_values[layer], spec.KvHeads * spec.ValueDim, pages);
        }

        for (var page = pages - 1; page >= _pages; page--)
            _free.Push(page);
        _pages = pages;
    }

    private DeviceBuffer Move(DeviceBuffer? old, int width, int pages)
    {
        var grown = cuda.Memory.Allocate((long)pages * PageSize * width * type.Size(), $"a key-value cache of {(long)pages * PageSize} positions");
        if (old is not null)
        {
            cuda.Stream.Copy(grown.Pointer, old.Pointer, old.Bytes);
            cuda.Synchronize();
            old.Dispose();
        }

        return grown;
    }
}

/// <summary>The pages of one sequence.</summary>
internal sealed class CudaKvCache(KvPool pool) : IKvCache
{
    private readonly List<int> _pages = [];

    public int Length { get; private set; }

    /// <summary>Its pages in order.</summary>
    public IReadOnlyList<int> Pages => _pages;

    /// <summary>Makes room for more positions and counts them as held.</summary>
    public void Extend(int count)
    {
        var wanted = checked(Length + count);
        while (_pages.Count * (long)KvPool.PageSize < wanted)
            _pages.Add(pool.Take());
        Length = wanted;
    }

    /// <summary>A copy in pages of its own; room is made when it is needed.</summary>
    public IKvCache Fork(int room)
    {
        var copy = new CudaKvCache(pool);
        copy.Extend(Length);
        pool.Copy(_pages, copy._pages);
        return copy;
    }

    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = Math.Min(Length, length);
        while (_pages.Count > (Length + KvPool.PageSize - 1) / KvPool.PageSize)
        {
            pool.Return(_pages[^1]);
            _pages.RemoveAt(_pages.Count - 1);
        }
    }

    public void Dispose() => Truncate(0);
}
