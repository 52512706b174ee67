namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>A tile of queries of one head, as the kernel reads it.</summary>
/// <param name="Sequence">Its sequence.</param>
/// <param name="First">Its first query in the sequence.</param>
/// <param name="Head">Its query head.</param>
/// <param name="Unused">Fills four words.</param>
internal readonly record struct AttentionTile(int Sequence, int First, int Head, int Unused);

/// <summary>How the attention of prompts cuts its work.</summary>
/// <param name="Rows">Queries of a tile, 64 for each consumer warpgroup.</param>
/// <param name="Keys">Keys of a step.</param>
/// <param name="Stages">Blocks of keys, and of values, in shared memory.</param>
/// <param name="Depth">Tiles known ahead, and their queries in shared memory.</param>
/// <param name="Blocks">Blocks on a multiprocessor.</param>
internal readonly record struct HopperTile(int Rows, int Keys, int Stages, int Depth, int Blocks = 1);

/// <summary>Attention of prompts on Hopper: TMA, warp specialisation, warpgroup products.</summary>
internal static class AttentionHopper
{
    private const int TileBytes = 40;
    private const float Log2E = 1.4426950408889634f;
    private static readonly int[] TestLengths = [1, 512, 1024, 4096], TestExtras = [0, 2, 5, 7];

    /// <summary>Whether it can do a form; keys and values have to be ragged, not paged.</summary>
    public static bool Supports(CudaDevice device, in AttentionForm form) =>
        device.IsHopper && form is { Type: CudaType.BFloat16, HeadDim: 64 or 128, Alibi: false } && form.ValueDim == form.HeadDim;

    /// <summary>The tile for a head size, a mask and the longest sequence: what measured best for each on an H100.</summary>
    public static HopperTile Choose(int headDim, bool causal, int longest, bool softcap = false) => (headDim, causal, longest) switch
    {
        (64, _, <= 512) => new HopperTile(128, 128, 4, 4),
        (64, _, <= 1024) => new HopperTile(64, 64, 2, 3, 3),
        (64, _, _) => softcap ? new HopperTile(128, 128, 2, 2) : new HopperTile(192, 128, 2, 2),
        (_, _, <= 512) => new HopperTile(128, 128, 2, 3),
        (_, false, >= 2048) => new HopperTile(192, 80, 2, 2),
        _ => new HopperTile(128, 128, 2, 2),
    };

    /// <summary>The variant for a form and a tile.</summary>
    public static KernelSpec Configure(in AttentionForm form, HopperTile tile) => new("AttentionHopper", "attention",
    [
        ("HEAD_DIM", form.HeadDim), ("BM", tile.Rows), ("BN", tile.Keys), ("STAGES", tile.Stages), ("DEPTH", tile.Depth), ("BLOCKS", tile.Blocks), ("CAUSAL", form.Causal ? 1 : 0),
        ("WINDOW", form.Window > 0 ? 1 : 0), ("SOFTCAP", form.Softcap > 0 ? 1 : 0), ("SINKS", form.Sinks ? 1 : 0),
    ])
    {
        NeedsHopper = true,
        Wgmma = [new WgmmaShape(tile.Keys, false, false), new WgmmaShape(form.HeadDim, true, true)],
        SharedBytes = 2 * form.HeadDim * (tile.Depth * tile.Rows + 2 * tile.Stages * tile.Keys) + 1024 + 32 * (tile.Depth + tile.Stages) + 16 + tile.Depth * TileBytes,
    };

    /// <summary>The variants that tests compile: all there are.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from headDim in Enumerable.Range(1, 2)
        from longest in TestLengths
        from causal in Enumerable.Range(0, 2)
        from extras in TestExtras
        let form = new AttentionForm(
            CudaType.BFloat16, 8, 2, 64 * headDim, 64 * headDim, 1, causal == 1, (extras & 1) * 512, (extras & 2) * 25, false, (extras & 4) != 0)
        select Configure(form, Choose(form.HeadDim, form.Causal, longest, form.Softcap > 0));

    /// <summary>All tiles of a batch in the order of work: heads whose keys and values fit the second-level cache together, and among those the longest first.</summary>
    /// <param name="sequences">The sequences.</param>
    /// <param name="form">The attention.</param>
    /// <param name="rows">Queries of a tile.</param>
    /// <param name="together">Bytes of keys and values whose tiles are worked on together; where null, what measured best on an H100: queries and
    /// results of short sequences take as much of the cache as keys and values.</param>
    public static AttentionTile[] Tiles(IReadOnlyList<DeviceSequence> sequences, in AttentionForm form, int rows, long? together = null)
    {
        var longest = sequences.Count == 0 ? 0 : sequences.Max(sequence => sequence.Keys);
        var most = together ?? (longest <= 512 ? 4L << 20 : longest <= 1024 && form.Causal ? 16L << 20 : 32L << 20);
        var (tiles, section, bytes) = (new List<AttentionTile>(), new List<(int Keys, AttentionTile Tile)>(), 0L);
        var group = form.Heads / form.KvHeads;
        for (var i = 0; i < sequences.Count; i++)
            for (var head = 0; head < form.Heads; head++)
            {
                if (head % group == 0)
                    bytes += 4L * sequences[i].Keys * form.HeadDim;
                if (head % group == 0 && bytes > most && section.Count > 0)
                {
                    Flush(tiles, section);
                    bytes = 4L * sequences[i].Keys * form.HeadDim;
                }

                var past = sequences[i].Keys - sequences[i].Queries;
                for (var first = 0; first < sequences[i].Queries; first += rows)
                    section.Add((Seen(form, rows, past + first, sequences[i].Keys), new AttentionTile(i, first, head, 0)));
            }

        Flush(tiles, section);
        return [.. tiles];
    }

    /// <summary>Attention of every query of a batch, [tokens, heads, HeadDim].</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The attention.</param>
    /// <param name="shape">The tile, as chosen when the list of tiles was made.</param>
    /// <param name="tokens">Rows of the queries.</param>
    /// <param name="keyRows">Rows of the keys and values.</param>
    /// <param name="tiles">Number of tiles.</param>
    /// <param name="counter">Eight bytes of zeros; left so.</param>
    /// <param name="x">Operands; the tiles are <see cref="AttentionTile"/>.</param>
    public static void Launch(
        CudaContext cuda, in AttentionForm form, HopperTile shape, int tokens, int keyRows, int tiles, nint counter, in AttentionOperands x)
    {
        if (tiles == 0)
            return;
        var parameters = new Parameters
        {
            Q = Map(x.Queries, tokens, form.Heads, form.HeadDim, shape.Rows),
            K = Map(x.Keys, keyRows, form.KvHeads, form.HeadDim, shape.Keys),
            V = Map(x.Values, keyRows, form.KvHeads, form.HeadDim, shape.Keys),
            O = x.Output,
            Lse = x.LogSumExp,
            Counter = counter,
            Sequences = x.Sequences,
            Tiles = x.Tiles,
            TileCount = tiles,
            Sinks = x.Sinks,
            Heads = form.Heads,
            Group = form.Heads / form.KvHeads,
            Window = form.Window,
            ScaleLog2 = form.Softcap > 0 ? 1 : form.Scale * Log2E,
            CappedScale = form.Softcap > 0 ? form.Scale / form.Softcap : 0,
            CapLog2 = form.Softcap * Log2E,
        };
        cuda.Kernel(Configure(form, shape)).Launch(cuda.Stream, (Math.Min(cuda.Device.Multiprocessors * shape.Blocks, tiles), 1, 1), 128 * (shape.Rows / 64 + 1), parameters);
    }

    /// <summary>Keys that some query of a tile sees.</summary>
    private static int Seen(in AttentionForm form, int rows, int position, int keys)
    {
        var last = form.Causal ? Math.Min(position + rows, keys) : keys;
        return form.Window > 0 ? Math.Min(last, last - (position - form.Window + 1)) : last;
    }

    /// <summary>[rows][heads][width] as (64 columns, row, panel, head).</summary>
    private static TensorMap Map(nint address, int rows, int heads, int width, int boxRows) => TensorMap.Encode(
        address, [64, (ulong)rows, (ulong)width / 64, (ulong)heads], [2UL * (ulong)heads * (ulong)width, 128, 2UL * (ulong)width], [64, (uint)boxRows, (uint)width / 64, 1]);

    private static void Flush(List<AttentionTile> tiles, List<(int Keys, AttentionTile Tile)> section)
    {
        tiles.AddRange(section.OrderByDescending(entry => entry.Keys).Select(entry => entry.Tile));
        section.Clear();
    }

    private struct Parameters
    {
        public TensorMap Q, K, V;
        public nint O, Lse, Counter, Sequences, Tiles, Sinks;
        public int TileCount, Heads, Group, Window;
        public float ScaleLog2, CappedScale, CapLog2;
    }
}
