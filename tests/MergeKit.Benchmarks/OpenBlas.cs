using System.Runtime.InteropServices;

namespace MergeKit.Benchmarks;

/// <summary>The yardstick of matrix products: Debian's libopenblas0-pthread.</summary>
internal static unsafe partial class OpenBlas
{
    private const string Library = "libopenblas.so.0";

    /// <summary>Whether the library is installed.</summary>
    public static bool IsInstalled
    {
        get
        {
            if (!NativeLibrary.TryLoad(Library, out var handle))
                return false;
            NativeLibrary.Free(handle);
            return true;
        }
    }

    /// <summary>Threads of later calls.</summary>
    public static void SetThreads(int threads) => openblas_set_num_threads(threads);

    /// <summary>y[m, n] = x[m, k] w[n, k]^T.</summary>
    public static void MultiplyTransposed(float* x, float* w, float* y, int m, int n, int k)
    {
        const int rowMajor = 101, asIs = 111, transposed = 112;
        cblas_sgemm(rowMajor, asIs, transposed, m, n, k, 1, x, k, w, k, 0, y, n);
    }

    [LibraryImport(Library)]
    private static partial void cblas_sgemm(
        int order, int transA, int transB, int m, int n, int k, float alpha, float* a, int lda, float* b, int ldb, float beta, float* c, int ldc);

    [LibraryImport(Library)]
    private static partial void openblas_set_num_threads(int threads);
}
