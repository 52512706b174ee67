using MergeKit.Inference.Backends.Cuda;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace MergeKit.Gpu.Tests;

/// <summary>A GPU for one test; reports the test as not run where there is none, and fails it where device memory leaks.</summary>
internal sealed class Gpu : IDisposable
{
    private Gpu(CudaContext cuda) => Cuda = cuda;

    public CudaContext Cuda { get; }

    public static Gpu Open()
    {
        var (usable, reasons) = CudaDevice.Discover();
        Assert.SkipWhen(usable.Count == 0, "not run, there is no usable GPU: " + string.Join("; ", reasons));
        return new Gpu(new CudaContext(usable[0].Index));
    }

    /// <summary>Floats on the device, as float32 or rounded to bf16; the host's values are rounded too.</summary>
    public DeviceBuffer Send(float[] values, CudaType type)
    {
        var buffer = Cuda.Memory.Allocate((long)values.Length * type.Size(), "test input");
        if (type == CudaType.Float32)
        {
            Cuda.Stream.Upload<float>(buffer.Pointer, values);
            return buffer;
        }

        var bits = Array.ConvertAll(values, Bf16);
        for (var i = 0; i < values.Length; i++)
            values[i] = BitConverter.UInt32BitsToSingle((uint)bits[i] << 16);
        Cuda.Stream.Upload<ushort>(buffer.Pointer, bits);
        return buffer;
    }

    public DeviceBuffer Send<T>(T[] values) where T : unmanaged
    {
        var buffer = Cuda.Memory.Allocate((long)values.Length * System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), "test input");
        Cuda.Stream.Upload<T>(buffer.Pointer, values);
        return buffer;
    }

    /// <summary>Memory filled with NaN.</summary>
    public DeviceBuffer Poisoned(long count, CudaType type)
    {
        var buffer = Cuda.Memory.Allocate(count * type.Size(), "test output");
        Cuda.Stream.Fill(buffer.Pointer, 0xFF, buffer.Bytes);
        return buffer;
    }

    public float[] Read(DeviceBuffer buffer, CudaType type)
    {
        if (type == CudaType.Float32)
        {
            var values = new float[buffer.Bytes / 4];
            Cuda.Stream.Download<float>(buffer.Pointer, values);
            return values;
        }

        var bits = new ushort[buffer.Bytes / 2];
        Cuda.Stream.Download<ushort>(buffer.Pointer, bits);
        return Array.ConvertAll(bits, value => BitConverter.UInt32BitsToSingle((uint)value << 16));
    }

    public static float[] Random(int count, ulong seed, float scale = 1)
    {
        var values = new float[count];
        for (var i = 0; i < count; i++)
        {
            // Sum of uniforms: near enough to normal, mean 0, variance 1.
            var sum = 0.0;
            for (ulong k = 0; k < 6; k++)
                sum += (Mix(seed * 0x9E3779B97F4A7C15 + (ulong)i * 6 + k) >> 11) * (1.0 / (1UL << 53));
            values[i] = (float)((sum - 3) * Math.Sqrt(2)) * scale;
        }

        return values;
    }

    /// <summary>|actual - expected| / |expected|; fails on NaN.</summary>
    public static double Error(IReadOnlyList<float> expected, IReadOnlyList<float> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        double difference = 0, norm = 0;
        for (var i = 0; i < expected.Count; i++)
        {
            Assert.False(float.IsNaN(actual[i]), $"NaN at {i}");
            difference += ((double)actual[i] - expected[i]) * ((double)actual[i] - expected[i]);
            norm += (double)expected[i] * expected[i];
        }

        return norm == 0 ? Math.Sqrt(difference) : Math.Sqrt(difference / norm);
    }

    public void Dispose()
    {
        Cuda.Synchronize();
        var leaks = Cuda.Memory.Leaks();
        Cuda.Dispose();
        Assert.Empty(leaks);
    }

    private static ushort Bf16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
