using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Latent attention: the norm of the latent, rotation, and the write of keys and values.</summary>
internal static class LatentPrepare
{
    private const int Threads = 128;
    private static readonly string[] Entries = ["latent_norm", "latent_prepare"];
    private static readonly bool[] Either = [true, false];

    /// <summary>A variant for an attention block.</summary>
    public static KernelSpec Configure(string entry, AttentionSpec spec, CudaType type)
    {
        var latent = spec.Latent!;
        return new KernelSpec("LatentPrepare", entry,
        [
            ("ELEMENT_BF16", type.Bf16Flag()), ("HEADS", spec.Heads), ("PLAIN_DIM", latent.PlainDim), ("ROTARY_DIM", latent.RotaryDim),
            ("VALUE_DIM", spec.ValueDim), ("RANK", latent.Rank), ("INTERLEAVED", spec.Rope?.Interleaved == true ? 1 : 0),
        ]);
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        var none = new LinearSpec("o", default, 1, 1);
        var latent = new LatentSpec
        {
            QueryUp = none,
            KeyValueDown = none,
            KeyValueUp = none,
            KeyValueNorm = new NormSpec("n", NormKind.Rms, 512, 1e-6),
            Rank = 512,
            PlainDim = 128,
            RotaryDim = 64,
        };
        return from type in Enum.GetValues<CudaType>()
               from entry in Entries
               from interleaved in Either
               let rope = new RopeSpec { Dim = 64, Theta = 1e4, Interleaved = interleaved }
               select Configure(entry, new AttentionSpec { Heads = 128, KvHeads = 128, HeadDim = 192, ValueDim = 128, Scale = 1, Output = none, Rope = rope, Latent = latent }, type);
    }

    /// <summary>Norms the latents of some tokens.</summary>
    public static void Norm(CudaContext cuda, AttentionSpec spec, CudaType type, int tokens, in Parameters parameters) => Launch(cuda, "latent_norm", spec, type, tokens, parameters);

    /// <summary>Prepares the tokens of a batch.</summary>
    public static void Launch(CudaContext cuda, AttentionSpec spec, CudaType type, int tokens, in Parameters parameters) =>
        Launch(cuda, "latent_prepare", spec, type, tokens, parameters);

    private static void Launch(CudaContext cuda, string entry, AttentionSpec spec, CudaType type, int tokens, in Parameters parameters)
    {
        if (tokens > 0)
            cuda.Kernel(Configure(entry, spec, type)).Launch(cuda.Stream, (tokens, 1, 1), Threads, parameters);
    }

    /// <summary>Device addresses and sizes; see the kernel.</summary>
    internal struct Parameters
    {
        public nint Low, Weight, Latent, Projected, Expanded, Cos, Sin, RopeRows, Places, Table, Queries, Keys, Values, KeyPages, ValuePages;
        public int TableStride;
        public float Epsilon;
    }
}
