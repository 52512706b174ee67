using System.Runtime.InteropServices;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Loaded machine code with one kernel.</summary>
internal sealed class CudaModule : SafeHandle
{
    private const int MaxDynamicSharedBytes = 8;

    public unsafe CudaModule(byte[] image, KernelSpec spec) : base(0, ownsHandle: true)
    {
        nint module;
        fixed (byte* start = image)
            CudaException.Check(DriverApi.cuModuleLoadData(out module, start), $"cuModuleLoadData({spec.Key})");
        SetHandle(module);
        CudaException.Check(DriverApi.cuModuleGetFunction(out var function, module, spec.Entry), $"cuModuleGetFunction({spec.Key})");
        if (spec.SharedBytes > 0)
            CudaException.Check(DriverApi.cuFuncSetAttribute(function, MaxDynamicSharedBytes, spec.SharedBytes), $"cuFuncSetAttribute({spec.Key}, {spec.SharedBytes} bytes shared)");
        Kernel = new CudaKernel(function, spec);
    }

    public CudaKernel Kernel { get; }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle() => DriverApi.cuModuleUnload(handle) == 0;
}

/// <summary>A kernel on a device.</summary>
public sealed class CudaKernel
{
    private const int ProgrammaticSerialization = 6;
    private readonly nint _function;

    internal CudaKernel(nint function, KernelSpec spec) => (_function, Spec) = (function, spec);

    /// <summary>What it was made of.</summary>
    public KernelSpec Spec { get; }

    /// <summary>Blocks that fit one multiprocessor at once.</summary>
    internal int BlocksPerMultiprocessor(int threads, int sharedBytes)
    {
        CudaException.Check(
            DriverApi.cuOccupancyMaxActiveBlocksPerMultiprocessor(out var blocks, _function, threads, (nuint)sharedBytes), "cuOccupancyMaxActiveBlocksPerMultiprocessor");
        return blocks;
    }

    /// <summary>Queues a launch.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="threads">Threads of a block.</param>
    /// <param name="parameters">The one parameter of the kernel, by value.</param>
    /// <param name="sharedBytes">Dynamic shared memory; null for what the specification says.</param>
    /// <param name="overlap">Whether it may start before the kernel before it has ended; it then waits by itself.</param>
    internal unsafe void Launch<T>(CudaStreamHandle stream, (int X, int Y, int Z) grid, int threads, in T parameters, int? sharedBytes = null, bool overlap = false)
        where T : unmanaged
    {
        var attribute = new DriverApi.LaunchAttribute { Id = ProgrammaticSerialization, Value = 1 };
        var config = new DriverApi.LaunchConfig
        {
            GridX = (uint)grid.X,
            GridY = (uint)grid.Y,
            GridZ = (uint)grid.Z,
            BlockX = (uint)threads,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)(sharedBytes ?? Spec.SharedBytes),
            Stream = stream.Handle,
            Attributes = &attribute,
            AttributeCount = overlap ? 1u : 0u,
        };
        fixed (T* start = &parameters)
        {
            var pointer = (void*)start;
            CudaException.Check(DriverApi.cuLaunchKernelEx(&config, _function, &pointer, null), $"launch of {Spec.Key}, grid {grid}, {threads} threads, {config.SharedBytes} bytes shared");
        }
    }
}
