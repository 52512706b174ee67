using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The way of weights to the device: mapped files, a ring of pinned buffers that several threads fill, copies on a stream of its
/// own, and there the conversion to the type that kernels read.</summary>
internal sealed class WeightUploader : IDisposable
{
    private const int Slots = 3;
    private const long SlotBytes = 32L << 20, PieceBytes = 2L << 20;
    private readonly CudaContext _cuda;
    private readonly CudaType _type;
    private readonly CudaStreamHandle _stream = new();
    private readonly Slot[] _ring = new Slot[Slots];
    private int _next;

    public WeightUploader(CudaContext cuda, CudaType type)
    {
        (_cuda, _type) = (cuda, type);
        for (var i = 0; i < Slots; i++)
            _ring[i] = new Slot();
    }

    /// <summary>Sends a stored tensor to [out, in] at <paramref name="target"/>; returns before it is there.</summary>
    public void Send(WeightTensor tensor, bool transposed, nint target)
    {
        Check(tensor);
        var (first, second, size) = (tensor.Shape[0], tensor.Shape[1], tensor.Type.Size());
        var asStored = !transposed && tensor.Type == (_type == CudaType.BFloat16 ? DType.BF16 : DType.F32);
        var step = transposed ? Math.Max(1, SlotBytes / (second * size)) : SlotBytes / size;
        var total = transposed ? first : first * second;
        for (long start = 0; start < total; start += step)
        {
            var count = Math.Min(step, total - start);
            var (unit, place) = transposed ? (second * size, target + (nint)(start * _type.Size())) : (size, target + (nint)(start * _type.Size()));
            var slot = Fill(tensor.Data + (nint)(start * unit), count * unit);
            if (asStored)
            {
                _stream.Upload(place, slot.Pinned.Pointer, count * unit);
            }
            else
            {
                var staged = slot.Device(_cuda, Math.Max(SlotBytes, unit)).Pointer;
                _stream.Upload(staged, slot.Pinned.Pointer, count * unit);
                if (transposed)
                    LoadWeights.Launch(_cuda, _stream, tensor.Type, staged, place, _type, second, count, first, transposed: true);
                else
                    LoadWeights.Launch(_cuda, _stream, tensor.Type, staged, place, _type, 1, count, count, transposed: false);
            }

            slot.Free.Record(_stream);
        }
    }

    /// <summary>Sends bytes as they are.</summary>
    public void SendBytes(nint source, long bytes, nint target)
    {
        for (long start = 0; start < bytes; start += SlotBytes)
        {
            var count = Math.Min(SlotBytes, bytes - start);
            var slot = Fill(source + (nint)start, count);
            _stream.Upload(target + (nint)start, slot.Pinned.Pointer, count);
            slot.Free.Record(_stream);
        }
    }

    /// <summary>Sends bytes as they are; they may be reused at once.</summary>
    public unsafe void SendBytes(ReadOnlySpan<byte> source, nint target)
    {
        fixed (byte* start = source)
            SendBytes((nint)start, source.Length, target);
    }

    /// <summary>Sends a stored [out, in] tensor to every second row from <paramref name="target"/> on.</summary>
    public void SendAlternating(WeightTensor tensor, nint target)
    {
        Check(tensor);
        var (rows, columns) = (tensor.Shape[0], tensor.Shape[1]);
        var unit = columns * tensor.Type.Size();
        var step = Math.Max(1, SlotBytes / unit);
        for (long start = 0; start < rows; start += step)
        {
            var count = Math.Min(step, rows - start);
            var slot = Fill(tensor.Data + (nint)(start * unit), count * unit);
            var staged = slot.Device(_cuda, Math.Max(SlotBytes, unit)).Pointer;
            _stream.Upload(staged, slot.Pinned.Pointer, count * unit);
            var place = target + (nint)(2 * start * columns * _type.Size());
            LoadWeights.Launch(_cuda, _stream, tensor.Type, staged, place, _type, count, columns, 2 * columns, transposed: false);
            slot.Free.Record(_stream);
        }
    }

    /// <summary>Waits until all is there.</summary>
    public void Dispose()
    {
        _stream.Synchronize();
        foreach (var slot in _ring)
            slot.Dispose();
        _stream.Dispose();
    }

    private static void Check(WeightTensor tensor)
    {
        if (!LoadWeights.CanRead(tensor.Type))
            throw new InputException($"weights of type {tensor.Type.SafetensorsName()} cannot be used on a GPU; floating-point types can");
    }

    /// <summary>While some slots are copied to the device the next is filled: page faults of the mapped file are what takes the time.</summary>
    private unsafe Slot Fill(nint source, long bytes)
    {
        var slot = _ring[_next++ % Slots];
        slot.Free.Synchronize();
        var target = slot.Take(Math.Max(SlotBytes, bytes)).Pointer;
        var pieces = (int)((bytes + PieceBytes - 1) / PieceBytes);
        Parallel.For(0, pieces, piece =>
        {
            var at = piece * PieceBytes;
            var count = Math.Min(PieceBytes, bytes - at);
            Buffer.MemoryCopy((byte*)source + at, (byte*)target + at, count, count);
        });
        return slot;
    }

    /// <summary>A pinned buffer, device memory of the same size where something is converted, and when both are free again.</summary>
    private sealed class Slot : IDisposable
    {
        private PinnedBuffer? _pinned;
        private DeviceBuffer? _device;

        public CudaEvent Free { get; } = new();

        public PinnedBuffer Pinned => _pinned!;

        public PinnedBuffer Take(long bytes)
        {
            if (_pinned is null || _pinned.Bytes < bytes)
            {
                _pinned?.Dispose();
                _pinned = new PinnedBuffer(bytes);
            }

            return _pinned;
        }

        public DeviceBuffer Device(CudaContext cuda, long bytes)
        {
            if (_device is null || _device.Bytes < bytes)
            {
                _device?.Dispose();
                _device = cuda.Memory.Allocate(bytes, "weights as stored");
            }

            return _device;
        }

        public void Dispose()
        {
            _pinned?.Dispose();
            _device?.Dispose();
            Free.Dispose();
        }
    }
}
