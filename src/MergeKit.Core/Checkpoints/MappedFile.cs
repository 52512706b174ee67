using System.IO.MemoryMappedFiles;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints;

/// <summary>A range of mapped memory that may exceed the length of a span.</summary>
/// <param name="Pointer">Its first byte.</param>
/// <param name="Length">Its length in bytes.</param>
public readonly unsafe record struct MappedBytes(nint Pointer, long Length)
{
    /// <summary>A part of at most 2^31 - 1 bytes.</summary>
    public ReadOnlySpan<byte> Slice(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, Length);
        return new ReadOnlySpan<byte>((byte*)Pointer + offset, length);
    }
}

/// <summary>One file mapped read-only.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private readonly long _length;

    public MappedFile(string path)
    {
        try
        {
            _length = new FileInfo(path).Length;
            _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _file?.Dispose();
            throw new EnvironmentException($"{path}: cannot be mapped: {e.Message}", e);
        }

        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    public MappedBytes Slice(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, _length);
        return new MappedBytes((nint)(_start + offset), length);
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
