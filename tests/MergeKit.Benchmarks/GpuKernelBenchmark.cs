using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>Times GPU kernels: events, 20 warm-up launches, the median of 50, the second-level cache cleared before each.</summary>
internal sealed class GpuKernelBenchmark : IDisposable
{
    private const int WarmUps = 20, Runs = 50;
    private const long ClearBytes = 256L << 20;
    private readonly CudaContext _cuda;
    private readonly DeviceBuffer _clear;
    private readonly List<DeviceBuffer> _buffers = [];

    private GpuKernelBenchmark(CudaContext cuda) => (_cuda, _clear) = (cuda, cuda.Memory.Allocate(ClearBytes, "clearing the cache"));

    /// <summary>Prints one line per kernel and shape.</summary>
    public static int Run(string[] args)
    {
        var (usable, reasons) = CudaDevice.Discover();
        if (usable.Count == 0)
        {
            Console.Error.WriteLine("not run: " + string.Join("; ", reasons));
            return 3;
        }

        using var cuda = new CudaContext(usable[0].Index);
        Console.WriteLine($"# {cuda.Device.Name}, driver for CUDA {cuda.Device.DriverVersion / 1000}.{cuda.Device.DriverVersion % 1000 / 10}, NVRTC {cuda.Compiler.Version}, cuBLASLt {DenseProduct.Version}");
        using var benchmark = new GpuKernelBenchmark(cuda);
        benchmark.Copies();
        benchmark.Glue();
        benchmark.Products();
        foreach (var (batch, length, heads, kvHeads, headDim) in Shapes)
            foreach (var causal in new[] { true, false })
                benchmark.Attention(batch, length, heads, kvHeads, headDim, causal);
        return 0;
    }

    /// <summary>Batch, length, heads, kv heads, head size: the prototype's tables.</summary>
    private static (int Batch, int Length, int Heads, int KvHeads, int HeadDim)[] Shapes =>
        [(4, 4096, 32, 8, 128), (1, 16384, 32, 8, 128), (16, 1024, 32, 8, 128), (4, 4096, 16, 16, 128), (4, 4096, 32, 32, 64), (1, 16384, 32, 32, 64)];

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffers.ForEach(buffer => buffer.Dispose());
        _clear.Dispose();
    }

    private void Copies()
    {
        const long Bytes = 2L << 30;
        var (a, b) = (Take(Bytes), Take(Bytes));
        var time = Time(() => _cuda.Stream.Copy(b, a, Bytes));
        Console.WriteLine($"copy {Bytes >> 20} MiB: {time * 1000:f1} us, {2 * Bytes / time / 1e6:f0} GB/s read and written");
        Release();
    }

    private void Glue()
    {
        const int Rows = 8192, Width = 4096, Intermediate = 14336;
        var (residual, delta, output, weight) = (Take(Rows * Width * 4L), Take(Rows * Width * 4L), Take(Rows * Width * 2L), Take(Width * 4L));
        var spec = new NormSpec("norm", NormKind.Rms, Width, 1e-5);
        Bandwidth("RMSNorm, float32 residual to bf16", Rows * Width * 6L, () => Norm.Launch(_cuda, spec, weight, 0, Rows, Width, residual, 0, output, CudaType.BFloat16));
        Bandwidth("add + RMSNorm", Rows * Width * 14L, () => Norm.Launch(_cuda, spec, weight, 0, Rows, Width, residual, delta, output, CudaType.BFloat16));
        var (wide, inner) = (Take(Rows * 2L * Intermediate * 2), Take(Rows * (long)Intermediate * 2));
        Bandwidth("SwiGLU", Rows * 6L * Intermediate, () => Elementwise.Gate(_cuda, Activation.Silu, GateKind.Halves, null, wide, 0, inner, Rows, Intermediate, CudaType.BFloat16));
        Release();
    }

    private void Products()
    {
        using var product = new DenseProduct(_cuda);
        foreach (var (rows, outputs, inputs) in new[] { (4096, 4096, 4096), (8192, 8192, 8192), (16384, 4096, 14336), (16384, 14336, 4096) })
        {
            var (x, w, y) = (Take(2L * rows * inputs), Take(2L * outputs * inputs), Take(2L * rows * outputs));
            var time = Time(() => product.Multiply(w, x, y, rows, outputs, inputs, CudaType.BFloat16, CudaType.BFloat16, accumulate: false));
            Console.WriteLine($"cuBLASLt product {rows} x {outputs} x {inputs}: {time * 1000:f1} us, {2.0 * rows * outputs * inputs / time / 1e9:f0} TFLOP/s");
            Release();
        }
    }

    private void Attention(int batch, int length, int heads, int kvHeads, int headDim, bool causal)
    {
        var form = new AttentionForm(CudaType.BFloat16, heads, kvHeads, headDim, headDim, 1 / MathF.Sqrt(headDim), causal, 0, 0, false, false);
        var tokens = batch * length;
        var spans = Enumerable.Range(0, batch).Select(i => new DeviceSequence(i * length, length, i * length, length)).ToArray();
        var (q, k, v, o) = (Take(2L * tokens * heads * headDim), Take(2L * tokens * kvHeads * headDim), Take(2L * tokens * kvHeads * headDim), Take(2L * tokens * heads * headDim));
        var operands = new AttentionOperands(q, k, v, o, 0, Send(spans), 0, Send(AttentionMma.Tiles(spans)), 0, 0, 0, 0);
        var flops = 4.0 * batch * heads * length * length * headDim * (causal ? 0.5 : 1);
        var label = $"attention D={headDim} {(causal ? "causal" : "full")} B{batch} S{length} {heads}/{kvHeads}";
        var count = AttentionMma.Tiles(spans).Length;
        var mma = Time(() => AttentionMma.Launch(_cuda, form, count, operands));
        var line = $"{label}: mma.sync {flops / mma / 1e9:f0} TFLOP/s";
        if (AttentionHopper.Supports(_cuda.Device, form))
            foreach (var shape in new[] { (128, 128), (128, 176), (192, 80), (192, 128) }.Where(shape => headDim == 128 ? shape != (192, 128) : shape is (128, 128) or (192, 128)))
            {
                var tiles = AttentionHopper.Tiles(spans, form, shape.Item1);
                var (list, counter) = (Send(tiles), Send(new int[2]));
                var hopper = Time(() => AttentionHopper.Launch(_cuda, form, shape, tokens, tokens, tiles.Length, counter, operands with { Tiles = list }));
                var chosen = AttentionHopper.Choose(headDim, causal, length) == shape ? "*" : "";
                line += $", Hopper {shape.Item1}x{shape.Item2}{chosen} {flops / hopper / 1e9:f0}";
            }

        Console.WriteLine(line);
        Release();
    }

    private void Bandwidth(string label, long bytes, Action work)
    {
        var time = Time(work);
        Console.WriteLine($"{label}: {time * 1000:f1} us, {bytes / time / 1e6:f0} GB/s");
    }

    /// <summary>Median milliseconds of a launch.</summary>
    private double Time(Action work)
    {
        for (var i = 0; i < WarmUps; i++)
            work();
        using var start = new CudaEvent();
        using var end = new CudaEvent();
        var times = new List<double>();
        for (var i = 0; i < Runs; i++)
        {
            _cuda.Stream.Fill(_clear.Pointer, (byte)i, ClearBytes);
            start.Record(_cuda.Stream);
            work();
            end.Record(_cuda.Stream);
            times.Add(end.MillisecondsSince(start));
        }

        times.Sort();
        return times[times.Count / 2];
    }

    /// <summary>Device memory full of random bf16 between -2 and 2.</summary>
    private nint Take(long bytes)
    {
        var buffer = _cuda.Memory.Allocate(bytes, "benchmark");
        _buffers.Add(buffer);
        var values = new ushort[Math.Min(bytes / 2, 1 << 22)];
        for (var i = 0; i < values.Length; i++)
        {
            var x = (uint)i * 2654435761u;
            x ^= x >> 15;
            x *= 2246822519u;
            values[i] = (ushort)(((x >> 16) & 0x8000) | 0x3E00 | ((x >> 8) & 0x1FF));
        }

        for (long at = 0; at < bytes; at += 2L * values.Length)
            _cuda.Stream.Upload<ushort>(buffer.Pointer + (nint)at, values.AsSpan(0, (int)Math.Min(values.Length, (bytes - at) / 2)));
        return buffer.Pointer;
    }

    private nint Send<T>(T[] values) where T : unmanaged
    {
        var buffer = _cuda.Memory.Allocate((long)values.Length * System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), "benchmark");
        _buffers.Add(buffer);
        _cuda.Stream.Upload<T>(buffer.Pointer, values);
        return buffer.Pointer;
    }

    private void Release()
    {
        _cuda.Synchronize();
        _buffers.ForEach(buffer => buffer.Dispose());
        _buffers.Clear();
    }
}
