using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cuda.Interop;

/// <summary>The calls of cuSOLVER that decompositions use: its 64-bit interface.</summary>
internal static unsafe partial class CusolverApi
{
    private const string Lib = CudaLibraries.CusolverKey;

    /// <summary>CUDA_R_64F.</summary>
    public const int Real64F = 1;

    /// <summary>CUSOLVER_EIG_MODE_VECTOR.</summary>
    public const int WithVectors = 1;

    [LibraryImport(Lib)] public static partial int cusolverGetVersion(out int version);
    [LibraryImport(Lib)] public static partial int cusolverDnCreate(out nint handle);
    [LibraryImport(Lib)] public static partial int cusolverDnDestroy(nint handle);
    [LibraryImport(Lib)] public static partial int cusolverDnSetStream(nint handle, nint stream);
    [LibraryImport(Lib)] public static partial int cusolverDnCreateParams(out nint parameters);
    [LibraryImport(Lib)] public static partial int cusolverDnDestroyParams(nint parameters);

    [LibraryImport(Lib)]
    public static partial int cusolverDnXgesvdp_bufferSize(
        nint handle, nint parameters, int job, int economic, long m, long n, int typeA, nint a, long lda, int typeS, nint s, int typeU, nint u, long ldu,
        int typeV, nint v, long ldv, int compute, out nuint deviceBytes, out nuint hostBytes);

    [LibraryImport(Lib)]
    public static partial int cusolverDnXgesvdp(
        nint handle, nint parameters, int job, int economic, long m, long n, int typeA, nint a, long lda, int typeS, nint s, int typeU, nint u, long ldu,
        int typeV, nint v, long ldv, int compute, nint deviceBuffer, nuint deviceBytes, void* hostBuffer, nuint hostBytes, nint info, out double perturbation);

    [LibraryImport(Lib)]
    public static partial int cusolverDnXgesvd_bufferSize(
        nint handle, nint parameters, sbyte jobU, sbyte jobVt, long m, long n, int typeA, nint a, long lda, int typeS, nint s, int typeU, nint u, long ldu,
        int typeVt, nint vt, long ldvt, int compute, out nuint deviceBytes, out nuint hostBytes);

    [LibraryImport(Lib)]
    public static partial int cusolverDnXgesvd(
        nint handle, nint parameters, sbyte jobU, sbyte jobVt, long m, long n, int typeA, nint a, long lda, int typeS, nint s, int typeU, nint u, long ldu,
        int typeVt, nint vt, long ldvt, int compute, nint deviceBuffer, nuint deviceBytes, void* hostBuffer, nuint hostBytes, nint info);
}
