using System.Runtime.InteropServices;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Device and pinned memory of a context; counts what is out.</summary>
public sealed class CudaMemory : IDisposable
{
    private readonly CudaContext _context;
    private readonly Lock _gate = new();
    private readonly HashSet<DeviceBuffer> _live = [];

    internal CudaMemory(CudaContext context) => _context = context;

    /// <summary>Device buffers not yet disposed of.</summary>
    public int LiveBuffers
    {
        get
        {
            lock (_gate)
                return _live.Count;
        }
    }

    /// <summary>Bytes in them.</summary>
    public long LiveBytes { get; private set; }

    /// <summary>The most bytes that were out at once.</summary>
    public long PeakBytes { get; private set; }

    /// <summary>How often memory that recorded work may refer to was given up for a larger piece.</summary>
    internal int Moves { get; private set; }

    /// <summary>Counts one such move.</summary>
    internal void CountMove() => Moves++;

    /// <summary>Free and total device memory, as the driver sees it.</summary>
    public (long Free, long Total) Available()
    {
        CudaException.Check(DriverApi.cuMemGetInfo(out var free, out var total), "cuMemGetInfo");
        return ((long)free, (long)total);
    }

    /// <summary>Takes device memory; its contents are undefined.</summary>
    /// <param name="bytes">How much; at least 1 is taken.</param>
    /// <param name="purpose">What it is for, named where there is too little.</param>
    /// <exception cref="CudaException">There is too little; says how much there is.</exception>
    public DeviceBuffer Allocate(long bytes, string purpose)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        _context.MakeCurrent();
        var code = DriverApi.cuMemAlloc(out var pointer, (nuint)Math.Max(1, bytes));
        if (code == CudaException.OutOfMemory)
        {
            var (free, total) = Available();
            throw new CudaException(
                $"cuda:{_context.Device.Index}: {bytes >> 20} MiB for {purpose} do not fit: {free >> 20} MiB of {total >> 20} MiB are free, "
                + $"{LiveBytes >> 20} MiB are in use here; a smaller batch, a shorter context or another device may help", code);
        }

        CudaException.Check(code, "cuMemAlloc");
        var buffer = new DeviceBuffer(this, pointer, bytes, purpose);
        lock (_gate)
        {
            _live.Add(buffer);
            LiveBytes += bytes;
            PeakBytes = Math.Max(PeakBytes, LiveBytes);
        }

        return buffer;
    }

    /// <summary>What is still out, for messages about leaks.</summary>
    public IReadOnlyList<string> Leaks()
    {
        lock (_gate)
            return [.. _live.Select(buffer => $"{buffer.Purpose}: {buffer.Bytes} bytes")];
    }

    /// <summary>Frees what is still out.</summary>
    public void Dispose()
    {
        DeviceBuffer[] left;
        lock (_gate)
            left = [.. _live];
        foreach (var buffer in left)
            buffer.Dispose();
    }

    internal bool Free(DeviceBuffer buffer)
    {
        lock (_gate)
            if (_live.Remove(buffer))
                LiveBytes -= buffer.Bytes;
        _context.MakeCurrent();
        return DriverApi.cuMemFree(buffer.Pointer) == 0;
    }
}

/// <summary>A piece of device memory.</summary>
public sealed class DeviceBuffer : SafeHandle
{
    private readonly CudaMemory _owner;

    internal DeviceBuffer(CudaMemory owner, nint pointer, long bytes, string purpose) : base(0, ownsHandle: true)
    {
        (_owner, Bytes, Purpose) = (owner, bytes, purpose);
        SetHandle(pointer);
    }

    /// <summary>Its size.</summary>
    public long Bytes { get; }

    /// <summary>What it is for.</summary>
    public string Purpose { get; }

    /// <summary>Its device address.</summary>
    public nint Pointer => handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => _owner.Free(this);
}

/// <summary>Host memory that copies can run from without staging.</summary>
public sealed class PinnedBuffer : SafeHandle
{
    /// <summary>Takes pinned memory.</summary>
    public PinnedBuffer(long bytes) : base(0, ownsHandle: true)
    {
        CudaException.Check(DriverApi.cuMemHostAlloc(out var pointer, (nuint)bytes, 0), "cuMemHostAlloc");
        SetHandle(pointer);
        Bytes = bytes;
    }

    /// <summary>Its size.</summary>
    public long Bytes { get; }

    /// <summary>Its address.</summary>
    public nint Pointer => handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => DriverApi.cuMemFreeHost(handle) == 0;
}
