using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>Device memory that merges use beside parents and results; grows and is reused. Work on one stream takes turns in it.</summary>
internal sealed class MergeWorkspace(CudaContext cuda) : IDisposable
{
    /// <summary>Tables.</summary>
    public Part Tensors { get; } = new(cuda, "tables of a merge");

    /// <summary>Tables.</summary>
    public Part Sources { get; } = new(cuda, "tables of a merge");

    /// <summary>Tables.</summary>
    public Part Cuts { get; } = new(cuda, "tables of a merge");

    /// <summary>Tables.</summary>
    public Part Owners { get; } = new(cuda, "tables of a merge");

    /// <summary>Histograms of magnitudes.</summary>
    public Part Histograms { get; } = new(cuda, "histograms of task vectors");

    /// <summary>Equal magnitudes per tile.</summary>
    public Part Ties { get; } = new(cuda, "ties of task vectors");

    /// <summary>One bit per entry.</summary>
    public Part Mask { get; } = new(cuda, "masks of task vectors");

    /// <summary>Sums per tile.</summary>
    public Part Partial { get; } = new(cuda, "sums of tensors");

    /// <summary>Sums per tensor.</summary>
    public Part Sums { get; } = new(cuda, "sums of tensors");

    /// <summary>A result before it is turned.</summary>
    public Part Plain { get; } = new(cuda, "a merged tensor");

    /// <summary>How many results are no finite numbers.</summary>
    public Part NotFinite { get; } = new(cuda, "a counter");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in new[] { Tensors, Sources, Cuts, Owners, Histograms, Ties, Mask, Partial, Sums, Plain, NotFinite })
            part.Dispose();
    }

    /// <summary>One growing piece.</summary>
    internal sealed class Part(CudaContext cuda, string purpose) : IDisposable
    {
        private DeviceBuffer? _buffer;

        /// <summary>At least so many bytes; contents are undefined where it grows.</summary>
        public nint Take(long bytes)
        {
            if (_buffer is null || _buffer.Bytes < bytes)
            {
                cuda.Synchronize();
                _buffer?.Dispose();
                _buffer = null;
                _buffer = cuda.Memory.Allocate(bytes, purpose);
            }

            return _buffer.Pointer;
        }

        /// <summary>Sends values here.</summary>
        public nint Send<T>(ReadOnlySpan<T> values) where T : unmanaged
        {
            var pointer = Take((long)values.Length * Unsafe.SizeOf<T>());
            cuda.Stream.Upload(pointer, values);
            return pointer;
        }

        public void Dispose() => _buffer?.Dispose();
    }
}
