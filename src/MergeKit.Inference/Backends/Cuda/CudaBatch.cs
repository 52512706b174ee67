using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>What kernels need to know of a batch, on the device; made once for all layers.</summary>
internal sealed class CudaBatch(CudaContext cuda) : IDisposable
{
    private readonly CudaBuffer _ids = new(cuda), _positionRows = new(cuda), _types = new(cuda), _positions = new(cuda);
    private readonly Dictionary<(AttentionForm Form, int Rows), (CudaBuffer Buffer, int Count)> _lists = [];
    private DeviceSequence[] _spans = [];
    private readonly CudaBuffer _places = new(cuda), _table = new(cuda), _sequences = new(cuda), _tiles = new(cuda);

    /// <summary>The batch that is on the device.</summary>
    public ForwardBatch? Current { get; private set; }

    public nint Ids => _ids.Pointer;

    public nint PositionRows => _positionRows.Pointer;

    /// <summary>Token types; 0 for none.</summary>
    public nint Types => Current?.TokenTypes is null ? 0 : _types.Pointer;

    public nint Positions => _positions.Pointer;

    public nint Places => _places.Pointer;

    public nint Table => _table.Pointer;

    public int TableStride { get; private set; }

    public nint Sequences => _sequences.Pointer;

    public nint Tiles => _tiles.Pointer;

    public int TileCount { get; private set; }

    /// <summary>Keys of the longest sequence.</summary>
    public int Longest { get; private set; }

    /// <summary>Whether no sequence has anything in its cache from before.</summary>
    public bool IsFresh { get; private set; }

    /// <summary>Sends a batch whose caches have room for it.</summary>
    public void Set(ForwardBatch batch)
    {
        Current = batch;
        _ids.Fill<int>(batch.Ids);
        _positionRows.Fill<int>(batch.PositionRows);
        _positions.Fill<int>(batch.Positions);
        if (batch.TokenTypes is { } types)
            _types.Fill<int>(types);
        var sequences = Array.ConvertAll(batch.Sequences, span => new DeviceSequence(span.Start, span.Count, span.Start, span.Past + span.Count));
        _sequences.Fill<DeviceSequence>(sequences);
        _spans = sequences;
        Longest = sequences.Max(sequence => sequence.Keys);
        foreach (var key in _lists.Keys.ToArray())
            _lists[key] = (_lists[key].Buffer, -1);
        IsFresh = batch.Sequences.All(span => span.Past == 0);
        SetPlaces(batch);
        var tiles = AttentionMma.Tiles(sequences);
        TileCount = tiles.Length;
        _tiles.Fill<Int2>(tiles);
    }

    /// <summary>The tiles of the attention of prompts, made once for all layers of a form.</summary>
    public (nint Tiles, int Count) PromptTiles(in AttentionForm form, int rows)
    {
        var key = (form, rows);
        if (!_lists.TryGetValue(key, out var list))
            list = (new CudaBuffer(cuda), -1);
        if (list.Count < 0)
        {
            var tiles = AttentionHopper.Tiles(_spans, form, rows);
            list.Buffer.Fill<AttentionTile>(tiles);
            _lists[key] = list = (list.Buffer, tiles.Length);
        }

        return (list.Buffer.Pointer, list.Count);
    }

    public void Dispose()
    {
        foreach (var list in _lists.Values)
            list.Buffer.Dispose();
        foreach (var buffer in new[] { _ids, _positionRows, _types, _positions, _places, _table, _sequences, _tiles })
            buffer.Dispose();
    }

    private void SetPlaces(ForwardBatch batch)
    {
        var caches = Array.ConvertAll(batch.Sequences, span => (CudaKvCache)span.Cache);
        TableStride = caches.Max(cache => cache.Pages.Count);
        var (places, table) = (new Int2[batch.Tokens], new int[caches.Length * TableStride]);
        for (var i = 0; i < caches.Length; i++)
        {
            var span = batch.Sequences[i];
            for (var t = 0; t < span.Count; t++)
                places[span.Start + t] = new Int2(i, span.Past + t);
            for (var page = 0; page < caches[i].Pages.Count; page++)
                table[i * TableStride + page] = caches[i].Pages[page];
        }

        _places.Fill<Int2>(places);
        _table.Fill<int>(table);
    }
}
