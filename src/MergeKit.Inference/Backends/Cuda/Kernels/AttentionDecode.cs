namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Device addresses of a decoding step's attention. All but queries, keys, values, output and lse can stay the same from step to step, so that a graph can be replayed.</summary>
/// <param name="Queries">bf16 [sequences][heads][HeadDim].</param>
/// <param name="Keys">bf16 pages [page][kv head][64][HeadDim].</param>
/// <param name="Values">Likewise.</param>
/// <param name="Output">bf16 [sequences][heads][HeadDim].</param>
/// <param name="LogSumExp">float32 [sequences][heads]; 0 for none.</param>
/// <param name="Table">int32 [sequences][TableStride]: the page of every 64 keys.</param>
/// <param name="TableStride">Entries from a sequence to the next.</param>
/// <param name="PageStride">Elements from a page to the next: kv heads x 64 x HeadDim, or twice that where keys and values of a page lie together.</param>
/// <param name="Pieces"><see cref="DecodePlan.Pieces"/>, filled up with zeros.</param>
/// <param name="Places"><see cref="DecodePlan.Places"/>.</param>
/// <param name="Counters">Zeros, <see cref="AttentionDecode.CounterBytes"/>; left so.</param>
/// <param name="Partials"><see cref="AttentionDecode.PartialBytes"/> of scratch.</param>
/// <param name="Slopes">float32 [heads]; 0 for none.</param>
/// <param name="Sinks">float32 [heads]; 0 for none.</param>
internal readonly record struct DecodeOperands(
    nint Queries, nint Keys, nint Values, nint Output, nint LogSumExp, nint Table, int TableStride, long PageStride, nint Pieces, nint Places, nint Counters, nint Partials, nint Slopes, nint Sinks);

/// <summary>A block of the decoding attention.</summary>
/// <param name="Warps">Its warps.</param>
/// <param name="Blocks">Blocks of a multiprocessor.</param>
/// <param name="Overlap">Whether it starts before the kernel before it has ended.</param>
internal readonly record struct DecodeShape(int Warps, int Blocks, bool Overlap);

/// <summary>Attention of one query token per sequence over the paged cache, split over keys, bound by the reading of keys and values.</summary>
/// <remarks>One plan, one buffer of partial results and one of counters serve one stream.</remarks>
internal static class AttentionDecode
{
    private const int HeadsPerBlock = 8;

    /// <summary>Whether it can do a form.</summary>
    public static bool Supports(in AttentionForm form) =>
        form is { Type: CudaType.BFloat16, HeadDim: 64 or 128 or 256 } && form.ValueDim == form.HeadDim && form.Heads % form.KvHeads == 0;

    /// <summary>Blocks that each piece becomes.</summary>
    public static int BlocksPerPiece(in AttentionForm form) => form.KvHeads * Parts(form);

    /// <summary>Bytes of the counters for some sequences.</summary>
    public static long CounterBytes(in AttentionForm form, int sequences) => 4L * sequences * BlocksPerPiece(form);

    /// <summary>Bytes of the partial results for some pieces.</summary>
    public static long PartialBytes(in AttentionForm form, int pieces) => 4L * pieces * form.Heads * (form.HeadDim + 1);

    /// <summary>
    /// The block for some keys, as measured on an H100: 8 warps alone on a multiprocessor, but three blocks of 4 where a single wave of
    /// them has pieces of moderate length and one of 8 warps has long ones.
    /// </summary>
    public static DecodeShape Choose(in AttentionForm form, long keys, int multiprocessors) =>
        form.HeadDim == 256 ? new DecodeShape(4, 2, true)
        : keys * BlocksPerPiece(form) / multiprocessors is > 4096 and < 12288 ? new DecodeShape(4, 3, false)
        : new DecodeShape(8, 1, true);

    /// <summary>The variant for a form.</summary>
    public static KernelSpec Configure(in AttentionForm form, DecodeShape shape) => new("AttentionDecode", "attention_decode",
    [
        ("HEAD_DIM", form.HeadDim), ("WARPS", shape.Warps), ("MINB", shape.Blocks), ("WINDOW", form.Window > 0 ? 1 : 0), ("SOFTCAP", form.Softcap > 0 ? 1 : 0),
        ("ALIBI", form.Alibi ? 1 : 0), ("SINKS", form.Sinks ? 1 : 0),
    ]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        foreach (var headDim in new[] { 64, 128, 256 })
            foreach (var shape in headDim == 256 ? [new DecodeShape(4, 2, true)] : new[] { new DecodeShape(8, 1, true), new DecodeShape(4, 3, false) })
            {
                var form = new AttentionForm(CudaType.BFloat16, 8, 2, headDim, headDim, 1, true, 0, 0, false, false);
                yield return Configure(form, shape);
                yield return Configure(form with { Window = 128, Softcap = 30, Alibi = true, Sinks = true }, shape);
                yield return Configure(form with { Window = 128, Sinks = true }, shape);
            }
    }

    /// <summary>A plan for a batch.</summary>
    public static DecodePlan Plan(in AttentionForm form, DecodeShape shape, ReadOnlySpan<int> keys, int multiprocessors) =>
        DecodePlan.Make(keys, form.Window, BlocksPerPiece(form), shape.Blocks * multiprocessors);

    /// <summary>Attention of a batch.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The attention.</param>
    /// <param name="shape">The block, as chosen for the plan.</param>
    /// <param name="pieces">Entries of the list of pieces, unused ones included: the same for every replay of a graph.</param>
    /// <param name="x">Operands.</param>
    public static void Launch(CudaContext cuda, in AttentionForm form, DecodeShape shape, int pieces, in DecodeOperands x)
    {
        if (!Supports(form))
            throw new CudaException($"{form}: decoding attention takes bf16 heads of 64, 128 or 256, keys and values alike");
        if (pieces == 0)
            return;
        var parameters = new Parameters
        {
            Q = x.Queries,
            K = x.Keys,
            V = x.Values,
            O = x.Output,
            Lse = x.LogSumExp,
            PartO = x.Partials,
            PartLse = x.Partials + (nint)(4L * pieces * form.Heads * form.HeadDim),
            Table = x.Table,
            Pieces = x.Pieces,
            Places = x.Places,
            Counters = x.Counters,
            Slopes = x.Slopes,
            Sinks = x.Sinks,
            PageStride = x.PageStride,
            KvHeads = form.KvHeads,
            Group = form.Heads / form.KvHeads,
            TableStride = x.TableStride,
            Parts = Parts(form),
            ScaleLog2 = form.Scale * 1.4426950408889634f,
            Softcap = form.Softcap,
            CappedScale = form.Softcap > 0 ? form.Scale / form.Softcap : 0,
        };
        cuda.Kernel(Configure(form, shape)).Launch(cuda.Stream, (BlocksPerPiece(form), pieces, 1), 32 * shape.Warps, parameters, overlap: shape.Overlap);
    }

    private static int Parts(in AttentionForm form) => (form.Heads / form.KvHeads + HeadsPerBlock - 1) / HeadsPerBlock;

    private struct Parameters
    {
        public nint Q, K, V, O, Lse, PartO, PartLse, Table, Pieces, Places, Counters, Slopes, Sinks;
        public long PageStride;
        public int KvHeads, Group, TableStride, Parts;
        public float ScaleLog2, Softcap, CappedScale;
    }
}
