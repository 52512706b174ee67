namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Attention of any shape and type by plain arithmetic.</summary>
internal static class AttentionPlain
{
    private const int Warps = 4;

    /// <summary>The variant for a form.</summary>
    public static KernelSpec Configure(in AttentionForm form) => new("AttentionPlain", "attention", [("ELEMENT_BF16", form.Type.Bf16Flag()), .. form.Defines]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from type in Enum.GetValues<CudaType>()
        from form in new[]
        {
            new AttentionForm(type, 8, 2, 128, 128, 1, true, 0, 0, false, false), new AttentionForm(type, 8, 2, 20, 20, 1, false, 0, 0, true, false),
            new AttentionForm(type, 8, 8, 576, 512, 1, true, 9, 30, false, true),
        }
        select Configure(form);

    /// <summary>Attention of every query of a batch, [tokens, heads, ValueDim].</summary>
    public static void Launch(CudaContext cuda, in AttentionForm form, int tokens, in AttentionOperands x)
    {
        var parameters = new Parameters
        {
            Q = x.Queries,
            K = x.Keys,
            V = x.Values,
            O = x.Output,
            Sequences = x.Sequences,
            Places = x.Places,
            Table = x.Table,
            Slopes = x.Slopes,
            Sinks = x.Sinks,
            TableStride = x.TableStride,
            Tokens = tokens,
            Heads = form.Heads,
            KvHeads = form.KvHeads,
            Window = form.Window,
            Scale = form.Scale,
            Softcap = form.Softcap,
        };
        var blocks = checked((int)(((long)tokens * form.Heads + Warps - 1) / Warps));
        if (blocks > 0)
            cuda.Kernel(Configure(form)).Launch(cuda.Stream, (blocks, 1, 1), Warps * 32, parameters);
    }

    private struct Parameters
    {
        public nint Q, K, V, O, Sequences, Places, Table, Slopes, Sinks;
        public int TableStride, Tokens, Heads, KvHeads, Window;
        public float Scale, Softcap;
    }
}
