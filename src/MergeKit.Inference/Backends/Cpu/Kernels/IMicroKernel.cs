namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A register-blocked tile of a matrix product.</summary>
internal unsafe interface IMicroKernel
{
    /// <summary>Rows of a tile.</summary>
    static abstract int Rows { get; }

    /// <summary>Columns of a tile.</summary>
    static abstract int Columns { get; }

    /// <summary>
    /// <c>c[r, j] = beta c[r, j] + sum_k a[r, k] b[k, j]</c> for r below <paramref name="rows"/> (at most <see cref="Rows"/>) and every j below <see cref="Columns"/>.
    /// k ascends, so an element's value does not depend on the rows around it. With beta = 0, c is not read.
    /// </summary>
    static abstract void Run(float* a, nint aStride, int rows, float* b, nint bStride, nint depth, float* c, nint cStride, float beta);
}
