namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The element types that kernels compute with.</summary>
public enum CudaType
{
    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>bfloat16.</summary>
    BFloat16,
}

/// <summary>Sizes of <see cref="CudaType"/>.</summary>
public static class CudaTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this CudaType type) => type == CudaType.BFloat16 ? 2 : 4;

    internal static int Bf16Flag(this CudaType type) => type == CudaType.BFloat16 ? 1 : 0;
}
