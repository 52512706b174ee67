namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Flash attention with the tensor cores of sm_80 and later, in bfloat16.</summary>
internal static class AttentionMma
{
    /// <summary>Queries of a tile.</summary>
    public const int TileRows = 64;

    private const int Threads = 128, MostWidth = 256;

    /// <summary>Whether it can do a form.</summary>
    public static bool Supports(in AttentionForm form) =>
        form.Type == CudaType.BFloat16 && form.HeadDim % 16 == 0 && form.ValueDim % 16 == 0 && form.HeadDim <= MostWidth && form.ValueDim <= MostWidth;

    /// <summary>The variant for a form: 64 keys a step, 32 where wide heads need the registers.</summary>
    public static KernelSpec Configure(in AttentionForm form)
    {
        var keys = form.ValueDim > 192 ? 32 : 64;
        return new KernelSpec("AttentionMma", "attention", [("BN", keys), .. form.Defines])
        {
            SharedBytes = (TileRows + keys) * (2 * form.HeadDim + 16) + keys * (2 * form.ValueDim + 16),
        };
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        foreach (var (head, value) in new[] { (64, 64), (80, 80), (96, 96), (128, 128), (192, 128), (256, 256) })
            foreach (var causal in new[] { true, false })
                yield return Configure(new AttentionForm(CudaType.BFloat16, 8, 2, head, value, 1, causal, 0, 0, false, false));
        yield return Configure(new AttentionForm(CudaType.BFloat16, 8, 2, 256, 256, 1, true, 1024, 50, false, false));
        yield return Configure(new AttentionForm(CudaType.BFloat16, 8, 2, 64, 64, 1, true, 128, 0, false, true));
        yield return Configure(new AttentionForm(CudaType.BFloat16, 8, 2, 128, 128, 1, true, 0, 0, true, false));
    }

    /// <summary>Tiles of a batch: every 64 queries of every sequence, those with most keys first.</summary>
    public static Int2[] Tiles(IReadOnlyList<DeviceSequence> sequences)
    {
        var tiles = new List<(int Keys, Int2 Tile)>();
        for (var i = 0; i < sequences.Count; i++)
            for (var first = 0; first < sequences[i].Queries; first += TileRows)
                tiles.Add((sequences[i].Keys - sequences[i].Queries + first, new Int2(i, first)));
        return [.. tiles.OrderByDescending(tile => tile.Keys).Select(tile => tile.Tile)];
    }

    /// <summary>Attention of every query of a batch, [tokens, heads, ValueDim].</summary>
    public static void Launch(CudaContext cuda, in AttentionForm form, int tiles, in AttentionOperands x)
    {
        var parameters = new Parameters
        {
            Q = x.Queries,
            K = x.Keys,
            V = x.Values,
            O = x.Output,
            Lse = x.LogSumExp,
            Sequences = x.Sequences,
            Tiles = x.Tiles,
            Table = x.Table,
            Slopes = x.Slopes,
            Sinks = x.Sinks,
            TableStride = x.TableStride,
            Heads = form.Heads,
            KvHeads = form.KvHeads,
            Window = form.Window,
            Scale = form.Scale,
            Softcap = form.Softcap,
        };
        if (tiles > 0)
            cuda.Kernel(Configure(form)).Launch(cuda.Stream, (tiles, form.Heads, 1), Threads, parameters);
    }

    private struct Parameters
    {
        public nint Q, K, V, O, Lse, Sequences, Tiles, Table, Slopes, Sinks;
        public int TableStride, Heads, KvHeads, Window;
        public float Scale, Softcap;
    }
}
