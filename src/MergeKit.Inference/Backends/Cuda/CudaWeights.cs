using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>A matrix on the device, [Rows, Columns] in the backend's type, with a float32 bias.</summary>
internal sealed record CudaMatrix(nint Weights, nint Bias, int Rows, int Columns) : IMatrix;

/// <summary>Moves weights to the device: mapped files, through pinned buffers, to where and how kernels read them.</summary>
internal sealed class CudaWeights(CudaContext cuda, CudaType type) : IDisposable
{
    private const long RingBytes = 32L << 20;
    private readonly List<DeviceBuffer> _owned = [];
    private readonly Dictionary<(nint Data, long Rows, long Columns), nint> _tables = [];
    private readonly Dictionary<float[], nint> _vectors = new(ReferenceEqualityComparer.Instance);
    private readonly (PinnedBuffer Pinned, CudaEvent Free)[] _ring = [(new PinnedBuffer(RingBytes), new CudaEvent()), (new PinnedBuffer(RingBytes), new CudaEvent())];
    private DeviceBuffer? _raw;
    private int _next;

    /// <summary>Row blocks one below the other.</summary>
    public CudaMatrix Matrix(IReadOnlyList<WeightTensor> blocks, bool storedTransposed, float[]? bias)
    {
        var (rows, columns) = (0L, 0L);
        foreach (var block in blocks)
        {
            rows += storedTransposed ? block.Shape[1] : block.Shape[0];
            columns = storedTransposed ? block.Shape[0] : block.Shape[1];
        }

        var isTable = blocks.Count == 1 && !storedTransposed;
        if (!isTable || !_tables.TryGetValue((blocks[0].Data, rows, columns), out var pointer))
        {
            pointer = Take(checked(rows * columns * type.Size()), $"weights of {rows} x {columns}");
            var at = pointer;
            foreach (var block in blocks)
            {
                Place(block, at, storedTransposed);
                at += (nint)(block.Shape[0] * block.Shape[1] * type.Size());
            }

            if (isTable)
                _tables[(blocks[0].Data, rows, columns)] = pointer;
        }

        return new CudaMatrix(pointer, bias is null ? 0 : Vector(bias), checked((int)rows), checked((int)columns));
    }

    /// <summary>A table, shared with a matrix of the same tensor.</summary>
    public nint Table(WeightTensor tensor) => Matrix([tensor], storedTransposed: false, null).Weights;

    /// <summary>Float32 values, sent once; 0 for none.</summary>
    public nint Vector(float[]? values)
    {
        if (values is not { Length: > 0 })
            return 0;
        if (_vectors.TryGetValue(values, out var pointer))
            return pointer;
        pointer = Take(values.Length * sizeof(float), "vectors");
        cuda.Stream.Upload<float>(pointer, values);
        return _vectors[values] = pointer;
    }

    public void Dispose()
    {
        cuda.Synchronize();
        foreach (var (pinned, free) in _ring)
        {
            pinned.Dispose();
            free.Dispose();
        }

        _raw?.Dispose();
        _owned.ForEach(buffer => buffer.Dispose());
    }

    private nint Take(long bytes, string purpose)
    {
        var buffer = cuda.Memory.Allocate(bytes, purpose);
        _owned.Add(buffer);
        return buffer.Pointer;
    }

    private void Place(WeightTensor block, nint target, bool transposed)
    {
        if (!LoadWeights.CanRead(block.Type))
            throw new InputException($"weights of type {block.Type.SafetensorsName()} cannot be used on a GPU; floating-point types can");
        var bytes = block.Shape[0] * block.Shape[1] * block.Type.Size();
        if (!transposed && block.Type == (type == CudaType.BFloat16 ? DType.BF16 : DType.F32))
        {
            Send(block.Data, target, bytes);
            return;
        }

        if (_raw is null || _raw.Bytes < bytes)
        {
            cuda.Synchronize();
            _raw?.Dispose();
            _raw = cuda.Memory.Allocate(bytes, "weights as stored");
        }

        Send(block.Data, _raw.Pointer, bytes);
        var (rows, columns) = transposed ? (block.Shape[1], block.Shape[0]) : (block.Shape[0], block.Shape[1]);
        LoadWeights.Launch(cuda, block.Type, _raw.Pointer, target, type, rows, columns, transposed);
    }

    /// <summary>While one pinned buffer is copied to the device the other is filled.</summary>
    private unsafe void Send(nint source, nint target, long bytes)
    {
        for (long start = 0; start < bytes; start += RingBytes)
        {
            var (pinned, free) = _ring[_next++ % _ring.Length];
            var count = Math.Min(RingBytes, bytes - start);
            free.Synchronize();
            Buffer.MemoryCopy((byte*)source + start, (void*)pinned.Pointer, pinned.Bytes, count);
            cuda.Stream.Upload((nint)(target + start), pinned.Pointer, count);
            free.Record(cuda.Stream);
        }
    }
}
