using System.Runtime.InteropServices;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>A queue of work on the device of the current context: a CUDA stream.</summary>
public sealed class CudaStreamHandle : SafeHandle
{
    private const uint NonBlocking = 1;
    private const int CaptureThreadLocal = 1;

    /// <summary>Makes a stream that does not wait for the default one.</summary>
    public CudaStreamHandle() : base(0, ownsHandle: true)
    {
        CudaException.Check(DriverApi.cuStreamCreate(out var stream, NonBlocking), "cuStreamCreate");
        SetHandle(stream);
    }

    /// <summary>The driver's handle.</summary>
    public nint Handle => handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Waits for all work queued so far.</summary>
    public void Synchronize() => CudaException.Check(DriverApi.cuStreamSynchronize(handle), "cuStreamSynchronize");

    /// <summary>Lets later work wait for an event.</summary>
    public void Wait(CudaEvent recorded) => CudaException.Check(DriverApi.cuStreamWaitEvent(handle, recorded.Handle, 0), "cuStreamWaitEvent");

    /// <summary>Copies from the host. Memory that is not pinned may be reused at once; pinned memory only after the copy.</summary>
    public unsafe void Upload<T>(nint target, ReadOnlySpan<T> source) where T : unmanaged
    {
        if (source.IsEmpty)
            return;
        fixed (T* start = source)
            Upload(target, (nint)start, (long)source.Length * sizeof(T));
    }

    /// <summary>Copies bytes from the host.</summary>
    public unsafe void Upload(nint target, nint source, long bytes) =>
        CudaException.Check(DriverApi.cuMemcpyHtoDAsync(target, (void*)source, (nuint)bytes, handle), "cuMemcpyHtoDAsync");

    /// <summary>Copies to the host and waits.</summary>
    public unsafe void Download<T>(nint source, Span<T> target) where T : unmanaged
    {
        if (target.IsEmpty)
            return;
        fixed (T* start = target)
        {
            CudaException.Check(DriverApi.cuMemcpyDtoHAsync(start, source, (nuint)((long)target.Length * sizeof(T)), handle), "cuMemcpyDtoHAsync");
            Synchronize();
        }
    }

    /// <summary>Copies to pinned memory of the host, without waiting.</summary>
    public unsafe void DownloadLater(nint source, nint target, long bytes) =>
        CudaException.Check(DriverApi.cuMemcpyDtoHAsync((void*)target, source, (nuint)bytes, handle), "cuMemcpyDtoHAsync");

    /// <summary>Copies on the device.</summary>
    public void Copy(nint target, nint source, long bytes)
    {
        if (bytes > 0)
            CudaException.Check(DriverApi.cuMemcpyDtoDAsync(target, source, (nuint)bytes, handle), "cuMemcpyDtoDAsync");
    }

    /// <summary>Sets every byte.</summary>
    public void Fill(nint target, byte value, long bytes)
    {
        if (bytes > 0)
            CudaException.Check(DriverApi.cuMemsetD8Async(target, value, (nuint)bytes, handle), "cuMemsetD8Async");
    }

    /// <summary>Records what <paramref name="work"/> queues here, without running it.</summary>
    public CudaGraph Capture(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        CudaException.Check(DriverApi.cuStreamBeginCapture(handle, CaptureThreadLocal), "cuStreamBeginCapture");
        try
        {
            work();
        }
        catch
        {
            if (DriverApi.cuStreamEndCapture(handle, out var broken) == 0 && broken != 0)
                _ = DriverApi.cuGraphDestroy(broken);
            throw;
        }

        CudaException.Check(DriverApi.cuStreamEndCapture(handle, out var graph), "cuStreamEndCapture");
        return new CudaGraph(graph);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => DriverApi.cuStreamDestroy(handle) == 0;
}

/// <summary>A point in a stream.</summary>
public sealed class CudaEvent : SafeHandle
{
    /// <summary>Makes an event that keeps time.</summary>
    public CudaEvent() : base(0, ownsHandle: true)
    {
        CudaException.Check(DriverApi.cuEventCreate(out var made, 0), "cuEventCreate");
        SetHandle(made);
    }

    /// <summary>The driver's handle.</summary>
    public nint Handle => handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Marks the end of what is queued so far.</summary>
    public void Record(CudaStreamHandle stream) => CudaException.Check(DriverApi.cuEventRecord(handle, stream.Handle), "cuEventRecord");

    /// <summary>Waits for it.</summary>
    public void Synchronize() => CudaException.Check(DriverApi.cuEventSynchronize(handle), "cuEventSynchronize");

    /// <summary>Milliseconds since another event; waits for this one.</summary>
    public float MillisecondsSince(CudaEvent start)
    {
        Synchronize();
        CudaException.Check(DriverApi.cuEventElapsedTime(out var milliseconds, start.Handle, handle), "cuEventElapsedTime");
        return milliseconds;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => DriverApi.cuEventDestroy(handle) == 0;
}

/// <summary>Recorded work that is launched as one.</summary>
public sealed class CudaGraph : SafeHandle
{
    internal CudaGraph(nint graph) : base(0, ownsHandle: true)
    {
        var code = DriverApi.cuGraphInstantiateWithFlags(out var executable, graph, 0);
        _ = DriverApi.cuGraphDestroy(graph);
        CudaException.Check(code, "cuGraphInstantiateWithFlags");
        SetHandle(executable);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Queues the recorded work.</summary>
    public void Launch(CudaStreamHandle stream) => CudaException.Check(DriverApi.cuGraphLaunch(handle, stream.Handle), "cuGraphLaunch");

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => DriverApi.cuGraphExecDestroy(handle) == 0;
}
