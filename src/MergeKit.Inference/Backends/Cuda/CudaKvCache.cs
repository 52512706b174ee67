using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Pages of 64 positions for all sequences: per layer one pool of keys and one of values, [page][kv head][64][width]. A page may belong to several sequences.</summary>
internal sealed class KvPool(CudaContext cuda, NetworkSpec network, CudaType type) : IDisposable
{
    /// <summary>Positions of a page.</summary>
    public const int PageSize = 64;

    private const int FirstPages = 64;
    private readonly Stack<int> _free = new();
    private readonly List<int> _owners = [];
    private readonly Lock _gate = new();
    private readonly DeviceBuffer?[] _keys = new DeviceBuffer?[network.Layers.Count], _values = new DeviceBuffer?[network.Layers.Count];

    /// <summary>Pages that no sequence holds.</summary>
    public int FreePages => _free.Count;

    /// <summary>Bytes that one position takes in all layers.</summary>
    public static long BytesPerPosition(NetworkSpec network, CudaType type) =>
        network.Layers.Sum(layer => (long)layer.Attention.KvHeads * (layer.Attention.HeadDim + layer.Attention.ValueDim)) * type.Size();

    /// <summary>Keys of a layer.</summary>
    public nint Keys(int layer) => _keys[layer]!.Pointer;

    /// <summary>Values of a layer.</summary>
    public nint Values(int layer) => _values[layer]!.Pointer;

    /// <summary>Takes a page; the pool grows by half where none is free.</summary>
    public int Take()
    {
        lock (_gate)
        {
            if (_free.Count == 0)
                Grow(_owners.Count == 0 ? FirstPages : checked(_owners.Count + (_owners.Count + 1) / 2));
            var page = _free.Pop();
            _owners[page] = 1;
            return page;
        }
    }

    /// <summary>Counts another sequence that holds a page.</summary>
    public void Share(int page)
    {
        lock (_gate)
            _owners[page]++;
    }

    /// <summary>Whether several sequences hold a page.</summary>
    public bool IsShared(int page)
    {
        lock (_gate)
            return _owners[page] > 1;
    }

    /// <summary>Gives a page back.</summary>
    public void Return(int page)
    {
        lock (_gate)
            if (--_owners[page] == 0)
                _free.Push(page);
    }

    /// <summary>Copies a page, in every layer.</summary>
    public void Copy(int from, int to)
    {
        cuda.MakeCurrent();
        for (var layer = 0; layer < _keys.Length; layer++)
        {
            var spec = network.Layers[layer].Attention;
            foreach (var (buffer, width) in new[] { (_keys[layer]!, spec.KvHeads * spec.HeadDim), (_values[layer]!, spec.KvHeads * spec.ValueDim) })
            {
                var bytes = (long)PageSize * width * type.Size();
                cuda.Stream.Copy((nint)(buffer.Pointer + to * bytes), (nint)(buffer.Pointer + from * bytes), bytes);
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

        for (var page = pages - 1; page >= _owners.Count; page--)
            _free.Push(page);
        while (_owners.Count < pages)
            _owners.Add(0);
    }

    private DeviceBuffer Move(DeviceBuffer? old, int width, int pages)
    {
        var grown = cuda.Memory.Allocate((long)pages * PageSize * width * type.Size(), $"a key-value cache of {(long)pages * PageSize} positions");
        if (old is not null)
        {
            cuda.Stream.Copy(grown.Pointer, old.Pointer, old.Bytes);
            cuda.Synchronize();
            old.Dispose();
            cuda.Memory.CountMove();
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

    /// <summary>Makes room for more positions and counts them as held; a page that others hold too is copied before it is written to.</summary>
    public void Extend(int count)
    {
        var wanted = checked(Length + count);
        if (Length % KvPool.PageSize != 0 && pool.IsShared(_pages[^1]))
        {
            var copy = pool.Take();
            pool.Copy(_pages[^1], copy);
            pool.Return(_pages[^1]);
            _pages[^1] = copy;
        }

        while (_pages.Count * (long)KvPool.PageSize < wanted)
            _pages.Add(pool.Take());
        Length = wanted;
    }

    /// <summary>A sequence that shares the pages; the last one, where it is not full, is copied when either writes to it.</summary>
    public IKvCache Fork(int room)
    {
        var copy = new CudaKvCache(pool) { Length = Length };
        foreach (var page in _pages)
        {
            pool.Share(page);
            copy._pages.Add(page);
        }

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
