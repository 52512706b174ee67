using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Passes over whole buffers.</summary>
internal static class Elementwise
{
    private const int Threads = 256, Vector = 8;

    /// <summary>A variant of one of the passes. Some save 16 bytes around the call of a 64-bit division, in a pass that waits for memory.</summary>
    public static KernelSpec Configure(string entry, CudaType input, CudaType output, Activation activation = 0, GateKind gate = 0, bool clamped = false, int vector = 1) =>
        new("Elementwise", entry,
        [
            ("IN_BF16", input.Bf16Flag()), ("OUT_BF16", output.Bf16Flag()), ("ACTIVATION", (int)activation), ("GATE", (int)gate),
            ("CLAMPED", clamped ? 1 : 0), ("VEC", vector),
        ])
        { AllowSpills = true };

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        CudaType[] types = [CudaType.Float32, CudaType.BFloat16];
        foreach (var type in types)
        {
            yield return Configure("add", type, CudaType.Float32);
            yield return Configure("add_gated", type, CudaType.Float32);
            foreach (var output in types)
            {
                yield return Configure("gather", type, output);
                yield return Configure("weigh", type, output);
            }

            yield return Configure("convert", type, type == CudaType.Float32 ? CudaType.BFloat16 : CudaType.Float32);
            foreach (var activation in Enum.GetValues<Activation>())
                yield return Configure("activation", type, type, activation);
            yield return Configure("gated", type, type, Activation.Silu, GateKind.Halves, vector: Vector);
            yield return Configure("gated", type, type, Activation.GeluTanh, GateKind.Halves);
            yield return Configure("gated", type, type, Activation.QuickGelu, GateKind.Interleaved, clamped: true);
        }
    }

    /// <summary>y += x, both of the same length; y in float32.</summary>
    public static void Add(CudaContext cuda, nint y, nint x, long count, CudaType type) =>
        Launch(cuda, Configure("add", type, CudaType.Float32), new Parameters { X = x, Y = y, Count = count, Width = 1 });

    /// <summary>y[r] += bias for every row; y in float32.</summary>
    public static void AddBias(CudaContext cuda, nint y, nint bias, long rows, int width) =>
        Launch(cuda, Configure("add", CudaType.Float32, CudaType.Float32), new Parameters { Y = y, Bias = bias, Count = rows * width, Width = width });

    /// <summary>y[r] += x[r] times the sigmoid of gate[r]; all in float32.</summary>
    public static void AddGated(CudaContext cuda, nint y, nint x, nint gate, long rows, int width) => Launch(
        cuda, Configure("add_gated", CudaType.Float32, CudaType.Float32), new Parameters { X = x, Y = y, Bias = gate, Count = rows * width, Width = width });

    /// <summary>y = x in another type.</summary>
    public static void Convert(CudaContext cuda, nint x, CudaType input, nint y, CudaType output, long count) =>
        Launch(cuda, Configure("convert", input, output), new Parameters { X = x, Y = y, Count = count, Width = 1 });

    /// <summary>y[i] = x[rows[i]].</summary>
    public static void Gather(CudaContext cuda, nint x, CudaType input, nint rows, nint y, CudaType output, long count, int width) =>
        Launch(cuda, Configure("gather", input, output), new Parameters { X = x, Y = y, Rows = rows, Count = count * width, Width = width });

    /// <summary>y[r] = x[r] times the factor of its row.</summary>
    public static void Weigh(CudaContext cuda, nint x, CudaType input, nint factors, nint y, CudaType output, long rows, int width) =>
        Launch(cuda, Configure("weigh", input, output), new Parameters { X = x, Y = y, Bias = factors, Count = rows * width, Width = width });

    /// <summary>y = f(x + bias); bias may be 0, y may be x.</summary>
    public static void Activate(CudaContext cuda, Activation activation, nint x, nint bias, nint y, long rows, int width, CudaType type) =>
        Launch(cuda, Configure("activation", type, type, activation), new Parameters { X = x, Y = y, Bias = bias, Count = rows * width, Width = width });

    /// <summary>y [rows, width] = f(gate) x up, with gate and up in x [rows, 2 width] as <paramref name="gate"/> says; bias [2 width] may be 0, or has a row for each number in <paramref name="biasRows"/>.</summary>
    public static void Gate(
        CudaContext cuda, Activation activation, GateKind gate, float? limit, nint x, nint bias, nint y, long rows, int width, CudaType type, nint biasRows = 0)
    {
        var vector = gate == GateKind.Halves && bias == 0 && limit is null && width % Vector == 0 ? Vector : 1;
        var spec = Configure("gated", type, type, limit is null ? activation : Activation.QuickGelu, gate, limit is not null, vector);
        Launch(cuda, spec, new Parameters { X = x, Y = y, Bias = bias, Rows = biasRows, Count = rows * width, Width = width, Limit = limit ?? 0 }, vector);
    }

    private static void Launch(CudaContext cuda, KernelSpec spec, in Parameters parameters, int perThread = 1)
    {
        var blocks = Math.Min((parameters.Count / perThread + Threads - 1) / Threads, 32L * cuda.Device.Multiprocessors);
        if (blocks > 0)
            cuda.Kernel(spec).Launch(cuda.Stream, ((int)blocks, 1, 1), Threads, parameters);
    }

    private struct Parameters
    {
        public nint X, Y, Bias, Rows;
        public long Count;
        public int Width;
        public float Limit;
    }
}
