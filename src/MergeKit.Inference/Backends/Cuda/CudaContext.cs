using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>A device in use: its memory, a stream, and the kernels compiled for it. One caller at a time.</summary>
public sealed class CudaContext : IDisposable
{
    private readonly nint _handle;
    private readonly Dictionary<string, CudaModule> _modules = new(StringComparer.Ordinal);
    private bool _disposed;

    /// <summary>Opens a device.</summary>
    /// <param name="index">Its index.</param>
    /// <param name="cacheFolder">Where compiled kernels are kept; null for the user's cache folder.</param>
    /// <exception cref="CudaException">There is no such device, or it or a library cannot be used.</exception>
    public CudaContext(int index = 0, string? cacheFolder = null)
    {
        var devices = CudaDevice.All();
        if (index < 0 || index >= devices.Count)
            throw new CudaException($"cuda:{index}: there {(devices.Count == 1 ? "is 1 device" : $"are {devices.Count} devices")}, counted from 0");
        Device = devices[index];
        if (Device.Refusal is { } refusal)
            throw new CudaException(refusal);
        CudaException.Check(DriverApi.cuDevicePrimaryCtxRetain(out _handle, index), "cuDevicePrimaryCtxRetain");
        MakeCurrent();
        Memory = new CudaMemory(this);
        Stream = new CudaStreamHandle();
        Compiler = new KernelCompiler(cacheFolder);
    }

    /// <summary>The device.</summary>
    public CudaDevice Device { get; }

    /// <summary>Its memory.</summary>
    public CudaMemory Memory { get; }

    /// <summary>The stream that work goes to.</summary>
    public CudaStreamHandle Stream { get; }

    /// <summary>Receives every buffer that gets a shape, while a pass is recorded; null otherwise.</summary>
    internal List<CudaBuffer>? Touched { get; set; }

    /// <summary>Makes kernels.</summary>
    public KernelCompiler Compiler { get; }

    /// <summary>Binds the device to the calling thread; needed before calls from another thread than the one that opened it.</summary>
    public void MakeCurrent() => CudaException.Check(DriverApi.cuCtxSetCurrent(_handle), "cuCtxSetCurrent");

    /// <summary>The kernel of a specification, compiled at first use.</summary>
    public CudaKernel Kernel(KernelSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (!_modules.TryGetValue(spec.Key, out var module))
            _modules[spec.Key] = module = new CudaModule(Compiler.Compile(spec, Device.Architecture).Image, spec);
        return module.Kernel;
    }

    /// <summary>Compiles several kernels on all processors at once.</summary>
    public void Prepare(IEnumerable<KernelSpec> specs)
    {
        var missing = specs.DistinctBy(spec => spec.Key).Where(spec => !_modules.ContainsKey(spec.Key)).ToArray();
        var images = new byte[missing.Length][];
        Parallel.For(0, missing.Length, i => images[i] = Compiler.Compile(missing[i], Device.Architecture).Image);
        for (var i = 0; i < missing.Length; i++)
            _modules[missing[i].Key] = new CudaModule(images[i], missing[i]);
    }

    /// <summary>Waits for all work.</summary>
    public void Synchronize() => Stream.Synchronize();

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (var module in _modules.Values)
            module.Dispose();
        Stream.Dispose();
        Memory.Dispose();
        CudaException.Check(DriverApi.cuDevicePrimaryCtxRelease(Device.Index), "cuDevicePrimaryCtxRelease");
    }
}
