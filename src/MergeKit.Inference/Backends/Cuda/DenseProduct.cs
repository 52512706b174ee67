using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Dense matrix products by cuBLASLt: y [rows, outputs] = x [rows, inputs] W^T, W [outputs, inputs], float32 sums.</summary>
internal sealed unsafe class DenseProduct : IDisposable
{
    private const long WorkspaceBytes = 32L << 20;
    private const int MostPlans = 4096;
    private readonly CudaContext _cuda;
    private readonly Dictionary<Shape, Plan> _plans = [];
    private readonly DeviceBuffer _workspace;
    private readonly nint _handle;

    public DenseProduct(CudaContext cuda)
    {
        CudaLibraries.Require(CudaLibraries.CublasLt);
        _cuda = cuda;
        CudaException.CheckCublas(CublasLtApi.cublasLtCreate(out _handle), "cublasLtCreate");
        _workspace = cuda.Memory.Allocate(WorkspaceBytes, "workspace of matrix products");
    }

    /// <summary>The library's version, as 130000 for 13.0.</summary>
    public static long Version => (long)CublasLtApi.cublasLtGetVersion();

    /// <summary>y = x W^T, or y += that.</summary>
    /// <param name="weights">W, [outputs, inputs], of the type <paramref name="type"/>.</param>
    /// <param name="x">[rows, inputs] of the same type.</param>
    /// <param name="y">[rows, outputs] with rows <paramref name="pitch"/> elements apart.</param>
    /// <param name="rows">Tokens.</param>
    /// <param name="outputs">Rows of W.</param>
    /// <param name="inputs">Columns of W.</param>
    /// <param name="type">Type of the operands.</param>
    /// <param name="result">Type of y.</param>
    /// <param name="accumulate">Whether to add to y.</param>
    /// <param name="pitch">Elements from one row of y to the next; null for <paramref name="outputs"/>.</param>
    public void Multiply(nint weights, nint x, nint y, int rows, int outputs, int inputs, CudaType type, CudaType result, bool accumulate, int? pitch = null)
    {
        if (rows == 0 || outputs == 0)
            return;
        var plan = Find(new Shape(rows, outputs, inputs, type, result, pitch ?? outputs));
        float alpha = 1, beta = accumulate ? 1 : 0;
        fixed (ulong* algorithm = plan.Algorithm)
            CudaException.CheckCublas(
                CublasLtApi.cublasLtMatmul(
                    _handle, plan.Descriptor, &alpha, weights, plan.A, x, plan.B, &beta, y, plan.D, y, plan.D, algorithm, _workspace.Pointer,
                    (nuint)WorkspaceBytes, _cuda.Stream.Handle),
                $"cublasLtMatmul({rows} x {outputs} x {inputs})");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        _workspace.Dispose();
        _ = CublasLtApi.cublasLtDestroy(_handle);
    }

    private Plan Find(Shape shape)
    {
        if (_plans.TryGetValue(shape, out var plan))
            return plan;
        if (_plans.Count >= MostPlans)
            Clear();
        return _plans[shape] = Make(shape);
    }

    // cuBLASLt is column-major: y^T [outputs x rows] = W [inputs x outputs, transposed] x^T [inputs x rows].
    private Plan Make(Shape shape)
    {
        var (input, output) = (Real(shape.Type), Real(shape.Result));
        CudaException.CheckCublas(CublasLtApi.cublasLtMatmulDescCreate(out var descriptor, CublasLtApi.Compute32F, CublasLtApi.Real32F), "cublasLtMatmulDescCreate");
        var transpose = CublasLtApi.Transpose;
        CudaException.CheckCublas(
            CublasLtApi.cublasLtMatmulDescSetAttribute(descriptor, CublasLtApi.DescriptorTransposeA, &transpose, sizeof(int)), "cublasLtMatmulDescSetAttribute");
        var plan = new Plan(
            descriptor, Layout(input, shape.Inputs, shape.Outputs, shape.Inputs), Layout(input, shape.Inputs, shape.Rows, shape.Inputs),
            Layout(output, shape.Outputs, shape.Rows, shape.Pitch));
        CudaException.CheckCublas(CublasLtApi.cublasLtMatmulPreferenceCreate(out var preference), "cublasLtMatmulPreferenceCreate");
        var bytes = (nuint)WorkspaceBytes;
        CudaException.CheckCublas(
            CublasLtApi.cublasLtMatmulPreferenceSetAttribute(preference, CublasLtApi.PreferenceWorkspace, &bytes, (nuint)sizeof(nuint)), "cublasLtMatmulPreferenceSetAttribute");
        CublasLtApi.HeuristicResult best;
        var code = CublasLtApi.cublasLtMatmulAlgoGetHeuristic(_handle, descriptor, plan.A, plan.B, plan.D, plan.D, preference, 1, &best, out var found);
        _ = CublasLtApi.cublasLtMatmulPreferenceDestroy(preference);
        CudaException.CheckCublas(code, $"cublasLtMatmulAlgoGetHeuristic({shape})");
        if (found == 0)
            throw new CudaException($"cuBLASLt knows no way to compute {shape}");
        new ReadOnlySpan<ulong>(best.Algorithm, 8).CopyTo(plan.Algorithm);
        return plan;
    }

    private static int Real(CudaType type) => type == CudaType.BFloat16 ? CublasLtApi.Real16BF : CublasLtApi.Real32F;

    private static nint Layout(int type, int rows, int columns, int leading)
    {
        CudaException.CheckCublas(CublasLtApi.cublasLtMatrixLayoutCreate(out var layout, type, (ulong)rows, (ulong)columns, leading), "cublasLtMatrixLayoutCreate");
        return layout;
    }

    private void Clear()
    {
        foreach (var plan in _plans.Values)
        {
            _ = CublasLtApi.cublasLtMatmulDescDestroy(plan.Descriptor);
            foreach (var layout in new[] { plan.A, plan.B, plan.D })
                _ = CublasLtApi.cublasLtMatrixLayoutDestroy(layout);
        }

        _plans.Clear();
    }

    private readonly record struct Shape(int Rows, int Outputs, int Inputs, CudaType Type, CudaType Result, int Pitch);

    private sealed record Plan(nint Descriptor, nint A, nint B, nint D)
    {
        public ulong[] Algorithm { get; } = new ulong[8];
    }
}
