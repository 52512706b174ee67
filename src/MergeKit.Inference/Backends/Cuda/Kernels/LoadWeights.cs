using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Weights as stored to weights as used.</summary>
internal static class LoadWeights
{
    private static readonly DType[] Sources = [DType.F32, DType.BF16, DType.F16, DType.F64, DType.F8E4M3, DType.F8E5M2];

    /// <summary>Whether weights of a stored type can be used.</summary>
    public static bool CanRead(DType type) => Sources.Contains(type);

    /// <summary>The variant for a stored type.</summary>
    public static KernelSpec Configure(DType source, CudaType output, bool transposed) => new("LoadWeights", "load_weights",
        [("SOURCE", Array.IndexOf(Sources, source)), ("OUT_BF16", output.Bf16Flag()), ("TRANSPOSED", transposed ? 1 : 0)]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from source in Sources from output in Enum.GetValues<CudaType>() from variant in Enumerable.Range(0, 2) select Configure(source, output, variant == 1);

    /// <summary>y [rows, columns] = x, stored so or, transposed, as [columns, rows]; rows of y are <paramref name="pitch"/> elements apart.</summary>
    public static void Launch(
        CudaContext cuda, CudaStreamHandle stream, DType source, nint x, nint y, CudaType type, long rows, long columns, long pitch, bool transposed)
    {
        var grid = transposed
            ? (checked((int)((rows + 31) / 32)), checked((int)((columns + 31) / 32)), 1)
            : ((int)Math.Min((rows * columns + 255) / 256, 32L * cuda.Device.Multiprocessors), 1, 1);
        if (rows > 0 && columns > 0)
            cuda.Kernel(Configure(source, type, transposed)).Launch(stream, grid, 256, new Parameters { X = x, Y = y, Rows = rows, Columns = columns, Pitch = pitch });
    }

    private struct Parameters
    {
        public nint X, Y;
        public long Rows, Columns, Pitch;
    }
}
