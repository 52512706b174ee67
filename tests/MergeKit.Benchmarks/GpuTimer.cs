using MergeKit.Inference.Backends.Cuda;

namespace MergeKit.Benchmarks;

/// <summary>Device memory with random contents, and times of launches.</summary>
internal sealed class GpuTimer : IDisposable
{
    private const int WarmUps = 20, Runs = 50, Replays = 15;
    private const long ClearBytes = 256L << 20, PatternBytes = 8L << 20;
    private readonly DeviceBuffer _clear, _pattern;
    private readonly List<DeviceBuffer> _buffers = [];

    public GpuTimer(CudaContext cuda)
    {
        Cuda = cuda;
        _clear = cuda.Memory.Allocate(ClearBytes, "clearing the cache");
        _pattern = cuda.Memory.Allocate(PatternBytes, "random numbers");
        cuda.Stream.Upload<ushort>(_pattern.Pointer, Normal((int)PatternBytes / 2));
        cuda.Synchronize();
    }

    public CudaContext Cuda { get; }

    /// <summary>Median milliseconds of a launch, the second-level cache cleared before each.</summary>
    public double Time(Action work)
    {
        for (var i = 0; i < WarmUps; i++)
            work();
        using var start = new CudaEvent();
        using var end = new CudaEvent();
        var times = new List<double>();
        for (var i = 0; i < Runs; i++)
        {
            Cuda.Stream.Fill(_clear.Pointer, (byte)i, ClearBytes);
            start.Record(Cuda.Stream);
            work();
            end.Record(Cuda.Stream);
            times.Add(end.MillisecondsSince(start));
        }

        return Median(times);
    }

    /// <summary>Median milliseconds of one of some launches in a graph; they take <paramref name="works"/> in turn.</summary>
    public double TimeGraph(IReadOnlyList<Action> works, int launches)
    {
        foreach (var work in works)
            work();
        using var graph = Cuda.Stream.Capture(() =>
        {
            for (var i = 0; i < launches; i++)
                works[i % works.Count]();
        });
        using var start = new CudaEvent();
        using var end = new CudaEvent();
        var times = new List<double>();
        for (var i = 0; i < Replays + 3; i++)
        {
            start.Record(Cuda.Stream);
            graph.Launch(Cuda.Stream);
            end.Record(Cuda.Stream);
            times.Add(end.MillisecondsSince(start) / launches);
        }

        return Median(times[3..]);
    }

    /// <summary>Device memory full of bf16 from the normal distribution; 0 elsewhere than here.</summary>
    public nint Take(long bytes)
    {
        var buffer = Cuda.Memory.Allocate(bytes, "benchmark");
        _buffers.Add(buffer);
        for (long at = 0; at < bytes; at += PatternBytes)
            Cuda.Stream.Copy(buffer.Pointer + (nint)at, _pattern.Pointer, Math.Min(PatternBytes, bytes - at));
        return buffer.Pointer;
    }

    public nint Send<T>(T[] values) where T : unmanaged
    {
        var buffer = Cuda.Memory.Allocate((long)values.Length * System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), "benchmark");
        _buffers.Add(buffer);
        Cuda.Stream.Upload<T>(buffer.Pointer, values);
        return buffer.Pointer;
    }

    /// <summary>Frees what was taken.</summary>
    public void Release()
    {
        Cuda.Synchronize();
        _buffers.ForEach(buffer => buffer.Dispose());
        _buffers.Clear();
    }

    public void Dispose()
    {
        Release();
        _clear.Dispose();
        _pattern.Dispose();
    }

    public static double Median(IEnumerable<double> times)
    {
        var sorted = times.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    private static ushort[] Normal(int count)
    {
        var values = new ushort[count];
        var state = 0x9E3779B97F4A7C15UL;
        for (var i = 0; i < count; i++)
        {
            var (u, v) = (Next(ref state), Next(ref state));
            var x = (float)(Math.Sqrt(-2 * Math.Log(1 - u)) * Math.Cos(2 * Math.PI * v));
            values[i] = (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16);
        }

        return values;
    }

    private static double Next(ref ulong state)
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state >> 11) * (1.0 / (1UL << 53));
    }
}
