using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cuda.Interop;

/// <summary>The calls of cuBLASLt that the engine uses.</summary>
internal static unsafe partial class CublasLtApi
{
    private const string Lib = CudaLibraries.CublasLtKey;

    /// <summary>CUBLAS_COMPUTE_32F.</summary>
    public const int Compute32F = 68;

    /// <summary>CUDA_R_32F.</summary>
    public const int Real32F = 0;

    /// <summary>CUDA_R_16BF.</summary>
    public const int Real16BF = 14;

    /// <summary>CUBLASLT_MATMUL_DESC_TRANSA.</summary>
    public const int DescriptorTransposeA = 3;

    /// <summary>CUBLAS_OP_T.</summary>
    public const int Transpose = 1;

    /// <summary>CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES.</summary>
    public const int PreferenceWorkspace = 1;

    [LibraryImport(Lib)] public static partial nuint cublasLtGetVersion();
    [LibraryImport(Lib)] public static partial nint cublasLtGetStatusString(int status);
    [LibraryImport(Lib)] public static partial int cublasLtCreate(out nint handle);
    [LibraryImport(Lib)] public static partial int cublasLtDestroy(nint handle);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulDescCreate(out nint descriptor, int compute, int scaleType);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulDescDestroy(nint descriptor);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulDescSetAttribute(nint descriptor, int attribute, void* value, nuint bytes);
    [LibraryImport(Lib)] public static partial int cublasLtMatrixLayoutCreate(out nint layout, int type, ulong rows, ulong columns, long leading);
    [LibraryImport(Lib)] public static partial int cublasLtMatrixLayoutDestroy(nint layout);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulPreferenceCreate(out nint preference);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulPreferenceDestroy(nint preference);
    [LibraryImport(Lib)] public static partial int cublasLtMatmulPreferenceSetAttribute(nint preference, int attribute, void* value, nuint bytes);

    [LibraryImport(Lib)]
    public static partial int cublasLtMatmulAlgoGetHeuristic(
        nint handle, nint descriptor, nint a, nint b, nint c, nint d, nint preference, int wanted, HeuristicResult* results, out int found);

    [LibraryImport(Lib)]
    public static partial int cublasLtMatmul(
        nint handle, nint descriptor, void* alpha, nint aData, nint a, nint bData, nint b, void* beta, nint cData, nint c, nint dData, nint d,
        void* algorithm, nint workspace, nuint workspaceBytes, nint stream);

    /// <summary>cublasLtMatmulHeuristicResult_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct HeuristicResult
    {
        public fixed ulong Algorithm[8];
        public nuint WorkspaceBytes;
        public int State;
        public float Waves;
        public fixed int Reserved[4];
    }
}
