using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Bias, QK-norm, rotation and the write of keys and values, in one pass over the fused projection.</summary>
internal static class QkvPrepare
{
    private const int Threads = 128, Vector = 8;

    private const int FewTokens = 64;

    /// <summary>The variant for an attention block.</summary>
    /// <param name="spec">The attention.</param>
    /// <param name="type">Element type.</param>
    /// <param name="few">Whether every head gets a block of its own, where none are normalised together: for few tokens.</param>
    public static KernelSpec Configure(AttentionSpec spec, CudaType type, bool few = false)
    {
        var own = few && AreHeadsAlone(spec) ? 1 : spec.Heads + 2 * spec.KvHeads;
        return new KernelSpec("QkvPrepare", "qkv_prepare",
        [
            ("ELEMENT_BF16", type.Bf16Flag()), ("HEADS", spec.Heads), ("KV_HEADS", spec.KvHeads), ("HEAD_DIM", spec.HeadDim),
            ("ROTARY_DIM", spec.Rope?.Dim ?? 0), ("INTERLEAVED", spec.Rope?.Interleaved == true ? 1 : 0),
            ("GROUPED", spec.Layout == QkvLayout.GroupedByKvHead ? 1 : 0), ("NORM", NormOf(spec)),
            ("OWN", own), ("VEC", spec.HeadDim % Vector == 0 ? Vector : 1), ("QUERY_GROUP", spec.QueryNorm?.GroupSize ?? 1), ("KEY_GROUP", spec.KeyNorm?.GroupSize ?? 1),
        ])
        { SharedBytes = own * spec.HeadDim * sizeof(float) };
    }

    /// <summary>The variant that keeps heads in registers; see <see cref="IsRegular"/>.</summary>
    public static KernelSpec ConfigureRegular(AttentionSpec spec, CudaType type) => new("QkvRotate", "qkv_rotate",
    [
        ("ELEMENT_BF16", type.Bf16Flag()), ("HEADS", spec.Heads), ("KV_HEADS", spec.KvHeads), ("HEAD_DIM", spec.HeadDim),
        ("ROTATED", spec.Rope is null ? 0 : 1), ("GROUPED", spec.Layout == QkvLayout.GroupedByKvHead ? 1 : 0), ("NORM", NormOf(spec)),
    ]);

    /// <summary>Whether heads are of 64, 128 or 256, normalised each alone, and rotated as a whole in halves or not at all.</summary>
    public static bool IsRegular(AttentionSpec spec) =>
        spec.HeadDim is 64 or 128 or 256 && AreHeadsAlone(spec) && (spec.Rope is null || (spec.Rope.Dim == spec.HeadDim && !spec.Rope.Interleaved));

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        var none = new LinearSpec("o", default, 1, 1);
        var plain = new AttentionSpec { Heads = 32, KvHeads = 8, HeadDim = 128, ValueDim = 128, Scale = 1, Output = none, Rope = new RopeSpec { Dim = 128, Theta = 1e4 } };
        var head = new NormSpec("q", NormKind.Rms, 128, 1e-6);
        foreach (var type in Enum.GetValues<CudaType>())
        {
            yield return Configure(plain, type);
            yield return Configure(plain with { QueryNorm = head, KeyNorm = head }, type);
            yield return Configure(plain with { QueryNorm = head, KeyNorm = head }, type, few: true);
            yield return Configure(plain with { QueryNorm = head with { Size = 4096, GroupSize = 4096 }, KeyNorm = head with { Size = 1024, GroupSize = 1024 } }, type);
            yield return Configure(plain with { Heads = 71, KvHeads = 1, HeadDim = 64, ValueDim = 64, Layout = QkvLayout.GroupedByKvHead, Rope = new RopeSpec { Dim = 32, Theta = 1e4, Interleaved = true } }, type);
            yield return Configure(plain with { Rope = null }, type);
            yield return Configure(plain with { HeadDim = 80, ValueDim = 80, Rope = new RopeSpec { Dim = 40, Theta = 1e4 } }, type);
            yield return Configure(plain with { Rope = null, QueryNorm = head with { Kind = NormKind.Layer } }, type);
            yield return ConfigureRegular(plain, type);
            yield return ConfigureRegular(plain with { QueryNorm = head, KeyNorm = head }, type);
            yield return ConfigureRegular(plain with { HeadDim = 256, ValueDim = 256, Rope = null, QueryNorm = head with { Kind = NormKind.Layer } }, type);
            yield return ConfigureRegular(plain with { Heads = 71, KvHeads = 1, HeadDim = 64, ValueDim = 64, Layout = QkvLayout.GroupedByKvHead }, type);
        }
    }

    /// <summary>Prepares the tokens of a batch.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="spec">The attention.</param>
    /// <param name="type">Element type.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="parameters">Operands.</param>
    /// <param name="regular">Whether heads stay in registers; where null, wherever they can.</param>
    public static void Launch(CudaContext cuda, AttentionSpec spec, CudaType type, int tokens, in Parameters parameters, bool? regular = null)
    {
        if (tokens == 0)
            return;
        var (few, heads, together) = (tokens <= FewTokens && AreHeadsAlone(spec), spec.Heads + 2 * spec.KvHeads, Threads * 16 / spec.HeadDim);
        if (regular ?? IsRegular(spec))
            cuda.Kernel(ConfigureRegular(spec, type)).Launch(
                cuda.Stream, (tokens, few ? (heads + together - 1) / together : 1, 1), Threads, parameters, overlap: cuda.Device.IsHopper);
        else
            cuda.Kernel(Configure(spec, type, few)).Launch(cuda.Stream, (tokens, few ? heads : 1, 1), Threads, parameters, overlap: cuda.Device.IsHopper);
    }

    private static int NormOf(AttentionSpec spec)
    {
        if (spec.QueryNorm is { } query && spec.KeyNorm is { } key && query.Kind != key.Kind)
            throw new CudaException($"{query.Name} and {key.Name} are of different kinds");
        return (spec.QueryNorm ?? spec.KeyNorm)?.Kind switch { null => 0, NormKind.Rms => 1, _ => 2 };
    }

    private static bool AreHeadsAlone(AttentionSpec spec) =>
        (spec.QueryNorm?.GroupSize ?? spec.HeadDim) == spec.HeadDim && (spec.KeyNorm?.GroupSize ?? spec.HeadDim) == spec.HeadDim;

    /// <summary>Device addresses and sizes; see the kernel.</summary>
    internal struct Parameters
    {
        public nint Qkv, Bias, QueryWeight, QueryBias, KeyWeight, KeyBias, Cos, Sin, RopeRows, Places, Table, Queries, Keys, Values, KeyPages, ValuePages;
        public int TableStride, QueryWeights, KeyWeights;
        public float QueryEpsilon, KeyEpsilon;
    }
}
