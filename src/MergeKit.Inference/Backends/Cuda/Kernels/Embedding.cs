namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Ids to hidden states.</summary>
internal static class Embedding
{
    /// <summary>The variant for tables of a type.</summary>
    public static KernelSpec Configure(CudaType type) => new("Embedding", "embed", [("ELEMENT_BF16", type.Bf16Flag())]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() => [Configure(CudaType.Float32), Configure(CudaType.BFloat16)];

    /// <summary>hidden = scale x token row + position row + type row, in float32.</summary>
    public static void Launch(CudaContext cuda, CudaType type, int tokens, in Parameters parameters)
    {
        if (tokens > 0)
            cuda.Kernel(Configure(type)).Launch(cuda.Stream, (tokens, 1, 1), 256, parameters);
    }

    /// <summary>Device addresses: tables [rows, width]; Positions, Types and Kinds may be 0.</summary>
    internal struct Parameters
    {
        public nint Tokens, Positions, Types, Ids, PositionRows, Kinds, Hidden;
        public int Width;
        public float Scale;
    }
}
