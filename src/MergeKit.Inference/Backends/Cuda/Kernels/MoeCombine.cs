namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>The weighted sum of every token's experts.</summary>
internal static class MoeCombine
{
    private const int Vector = 4;

    /// <summary>The variant for a number of experts per token.</summary>
    public static KernelSpec Configure(CudaType type, int topK, int width, bool bias) => new("MoeCombine", "moe_combine",
        [("IN_BF16", type.Bf16Flag()), ("TOP_K", topK), ("VEC", width % Vector == 0 ? Vector : 1), ("BIAS", bias ? 1 : 0)]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from type in Enum.GetValues<CudaType>() from topK in new[] { 1, 2, 8 } from width in new[] { 64, 99 } from bias in new[] { 0, 1 } select Configure(type, topK, width, bias == 1);

    /// <summary>y [tokens, width] in float32 += the weighted rows of x; see the kernel.</summary>
    public static void Launch(CudaContext cuda, CudaType type, int tokens, int topK, in Parameters parameters)
    {
        if (tokens > 0)
            cuda.Kernel(Configure(type, topK, parameters.Width, parameters.Bias != 0)).Launch(cuda.Stream, (tokens, 1, 1), 256, parameters);
    }

    /// <summary>Device addresses; see the kernel.</summary>
    internal struct Parameters
    {
        public nint X, Places, Experts, Weights, Bias, Y;
        public int Width;
    }
}
