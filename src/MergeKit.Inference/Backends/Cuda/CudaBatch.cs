using System.Runtime.InteropServices;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>What kernels need to know of a batch, on the device in one block that is sent at once; made once for all layers. The places in
/// the block depend on the numbers of tokens, sequences and pages only, so that a recorded pass finds those of a later batch.</summary>
internal sealed class CudaBatch(CudaContext cuda) : IDisposable
{
    private const int LeastStride = 16;
    private readonly CudaBuffer _block = new(cuda);
    private readonly Dictionary<(AttentionForm Form, int Rows), (CudaBuffer Buffer, int Count)> _lists = [];
    private DeviceSequence[] _spans = [];
    private nint _ids, _positionRows, _types, _positions, _places, _table, _sequences, _tiles;

    /// <summary>The batch that is on the device.</summary>
    public ForwardBatch? Current { get; private set; }

    public nint Ids => _ids;

    public nint PositionRows => _positionRows;

    /// <summary>Token types; 0 for none.</summary>
    public nint Types => Current?.TokenTypes is null ? 0 : _types;

    public nint Positions => _positions;

    public nint Places => _places;

    /// <summary>Page tables; 0 where nothing is kept.</summary>
    public nint Table => TableStride == 0 ? 0 : _table;

    /// <summary>Entries of a sequence's page table: a power of two.</summary>
    public int TableStride { get; private set; }

    public nint Sequences => _sequences;

    public nint Tiles => _tiles;

    public int TileCount { get; private set; }

    /// <summary>Keys of the longest sequence.</summary>
    public int Longest { get; private set; }

    /// <summary>Whether no sequence has anything in its cache from before.</summary>
    public bool IsFresh { get; private set; }

    /// <summary>The sequences as kernels read them.</summary>
    public IReadOnlyList<DeviceSequence> Spans => _spans;

    /// <summary>Whether keys and values of the batch go to pages.</summary>
    public static bool Keeps(ForwardBatch batch) => batch.Retain || batch.Sequences.Any(span => span.Past > 0);

    /// <summary>Sends a batch whose caches have room for it.</summary>
    public void Set(ForwardBatch batch)
    {
        Current = batch;
        _spans = Array.ConvertAll(batch.Sequences, span => new DeviceSequence(span.Start, span.Count, span.Start, span.Past + span.Count));
        Longest = _spans.Max(sequence => sequence.Keys);
        IsFresh = batch.Sequences.All(span => span.Past == 0);
        foreach (var key in _lists.Keys.ToArray())
            _lists[key] = (_lists[key].Buffer, -1);
        var following = batch.Pending is CudaArgMax.Pending { IsKnown: false } pending ? pending : null;
        var block = new List<int>();
        int[] starts =
        [
            Append(block, following is null ? batch.Ids : new int[batch.Tokens]), Append(block, batch.PositionRows), Append(block, batch.TokenTypes ?? []), Append(block, batch.Positions),
            Append<Int2>(block, PlacesOf(batch)), Append<DeviceSequence>(block, _spans), Append<Int2>(block, Tiles(_spans)), Append(block, PageTable(batch)),
        ];
        var start = _block.Fill<int>(CollectionsMarshal.AsSpan(block));
        var places = Array.ConvertAll(starts, at => start + at * sizeof(int));
        (_ids, _positionRows, _types, _positions, _places, _sequences, _tiles, _table) =
            (places[0], places[1], places[2], places[3], places[4], places[5], places[6], places[7]);
        if (following is not null)
            cuda.Stream.Copy(_ids, following.Ids, (long)batch.Tokens * sizeof(int));

        Int2[] Tiles(DeviceSequence[] sequences)
        {
            var tiles = AttentionMma.Tiles(sequences);
            TileCount = tiles.Length;
            return tiles;
        }
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
        _block.Dispose();
    }

    /// <summary>Adds values at the next multiple of 16 bytes; gives that place.</summary>
    private static int Append<T>(List<int> block, ReadOnlySpan<T> values) where T : unmanaged
    {
        while (block.Count % 4 != 0)
            block.Add(0);
        var at = block.Count;
        block.AddRange(MemoryMarshal.Cast<T, int>(values));
        return at;
    }

    private static int Append(List<int> block, int[] values) => Append<int>(block, values);

    private static Int2[] PlacesOf(ForwardBatch batch)
    {
        var places = new Int2[batch.Tokens];
        for (var i = 0; i < batch.Sequences.Length; i++)
            for (var t = 0; t < batch.Sequences[i].Count; t++)
                places[batch.Sequences[i].Start + t] = new Int2(i, batch.Sequences[i].Past + t);
        return places;
    }

    private int[] PageTable(ForwardBatch batch)
    {
        if (!Keeps(batch))
        {
            TableStride = 0;
            return [];
        }

        var caches = Array.ConvertAll(batch.Sequences, span => (CudaKvCache)span.Cache);
        TableStride = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(LeastStride, caches.Max(cache => cache.Pages.Count)));
        var table = new int[caches.Length * TableStride];
        for (var i = 0; i < caches.Length; i++)
            for (var page = 0; page < caches[i].Pages.Count; page++)
                table[i * TableStride + page] = caches[i].Pages[page];
        return table;
    }
}
