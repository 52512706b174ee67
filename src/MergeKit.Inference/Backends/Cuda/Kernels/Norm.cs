using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Adds a delta to the residual stream and norms it.</summary>
internal static class Norm
{
    private const int MostFloatsPerThread = 32;
    private static readonly int[] TestWidths = [64, 99, 4096, 7168];
    private static readonly bool[] Either = [false, true];

    /// <summary>The variant for a width: as few threads as keep 16 floats each in flight, 32 to 1024.</summary>
    public static KernelSpec Configure(int width, bool layer, bool delta, CudaType output)
    {
        var vector = width % 4 == 0 ? 4 : 1;
        var threads = 32;
        while (threads < 1024 && threads * vector * 4 < width)
            threads *= 2;
        if ((width + threads - 1) / threads > MostFloatsPerThread)
            throw new CudaException($"a norm over {width} elements is wider than the {1024 * MostFloatsPerThread} that the kernel holds");
        return new KernelSpec("Norm", "norm_rows",
        [
            ("WIDTH", width), ("THREADS", threads), ("VEC", vector), ("LAYER", layer ? 1 : 0), ("OUT_BF16", output.Bf16Flag()), ("DELTA", delta ? 1 : 0),
        ]);
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from width in TestWidths
        from layer in Either
        from delta in Either
        from output in Enum.GetValues<CudaType>()
        select Configure(width, layer, delta, output);

    /// <summary>residual += delta; output = norm(residual).</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="spec">The norm.</param>
    /// <param name="weight">Its weights on the device, float32.</param>
    /// <param name="bias">Its biases; 0 for none.</param>
    /// <param name="rows">Tokens.</param>
    /// <param name="width">Elements of a token: a multiple of the norm's group.</param>
    /// <param name="residual">[rows, width] in float32.</param>
    /// <param name="delta">[rows, width] in float32; 0 for none.</param>
    /// <param name="output">[rows, width]; may be the residual where its type is float32.</param>
    /// <param name="type">Type of the output.</param>
    public static void Launch(
        CudaContext cuda, NormSpec spec, nint weight, nint bias, int rows, int width, nint residual, nint delta, nint output, CudaType type)
    {
        if (width % spec.GroupSize != 0 || spec.Size % spec.GroupSize != 0)
            throw new ArgumentException($"{spec.Name}: groups of {spec.GroupSize} do not divide {width} elements and {spec.Size} weights", nameof(spec));
        var kernel = cuda.Kernel(Configure(spec.GroupSize, spec.Kind == NormKind.Layer, delta != 0, type));
        var groups = checked(rows * (width / spec.GroupSize));
        var parameters = new Parameters
        {
            Residual = residual,
            Delta = delta,
            Weight = weight,
            Bias = bias,
            Output = output,
            Groups = groups,
            Weights = spec.Size,
            Epsilon = (float)spec.Epsilon,
        };
        if (groups > 0)
            kernel.Launch(cuda.Stream, (groups, 1, 1), kernel.Spec.Defines.First(define => define.Name == "THREADS").Value, parameters, overlap: cuda.Device.IsHopper);
    }

    private struct Parameters
    {
        public nint Residual, Delta, Weight, Bias, Output;
        public int Groups, Weights;
        public float Epsilon;
    }
}
