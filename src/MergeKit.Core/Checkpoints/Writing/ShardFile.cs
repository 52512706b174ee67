using System.Security.Cryptography;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>One output file: allocated whole, filled in any order by many threads, then read back, checked and hashed from the front
/// as its tensors are finished.</summary>
public sealed class ShardFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly ulong?[] _checksums;
    private readonly string _path;
    private int _verifying;
    private int _verified;

    /// <summary>Opens or creates the file, takes its space on the disk, and writes its header.</summary>
    /// <exception cref="EnvironmentException">No space, no permission.</exception>
    public ShardFile(OutputFolder folder, Shard shard)
    {
        (Shard, _path, _checksums) = (shard, folder.PathOf(shard.FileName), new ulong?[shard.Tensors.Count]);
        _handle = OutputFolder.Guard(_path, () => Create(_path, shard));
        _hash.AppendData(shard.Header);
    }

    /// <summary>The plan of this file.</summary>
    public Shard Shard { get; }

    /// <summary>The file's SHA-256 in hexadecimal; null until every tensor is verified.</summary>
    public string? Sha256 { get; private set; }

    /// <summary>Whether every tensor has been written.</summary>
    public bool IsComplete => Array.TrueForAll(_checksums, checksum => checksum is not null);

    /// <summary>Writes part of a tensor.</summary>
    /// <param name="position">The tensor's position within the shard.</param>
    /// <param name="byteOffset">Where in the tensor.</param>
    /// <param name="bytes">Stored elements.</param>
    public void Write(int position, long byteOffset, ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, Shard.Tensors[position].Offset + byteOffset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{_path}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Declares a tensor finished.</summary>
    public void Complete(int position, ulong checksum) => _checksums[position] = checksum;

    /// <summary>Whether a tensor's bytes in the file have this checksum: for work that an earlier run left.</summary>
    public bool Matches(int position, ulong checksum)
    {
        var (sum, buffer) = (0UL, NewBuffer(position));
        ReadTensor(position, buffer, (bytes, element, size) => sum = unchecked(sum + BlockChecksum.Of(bytes, element, size)));
        return sum == checksum;
    }

    /// <summary>Reads back, checks and hashes the finished tensors at the front that have not been yet. One thread at a time does it; others return at once.</summary>
    /// <exception cref="EnvironmentException">What is read differs from what was written.</exception>
    public void VerifyFront(CancellationToken cancellation)
    {
        while (HasWork && Interlocked.CompareExchange(ref _verifying, 1, 0) == 0)
        {
            try
            {
                while (HasWork)
                    Verify(_verified, cancellation);
            }
            finally
            {
                Volatile.Write(ref _verifying, 0);
            }
        }
    }

    private bool HasWork => Sha256 is null && (_verified == _checksums.Length || _checksums[_verified] is not null);

    /// <summary>Waits until the disk has everything written so far.</summary>
    public void FlushToDisk() => OutputFolder.Guard(_path, () =>
    {
        RandomAccess.FlushToDisk(_handle);
        return true;
    });

    /// <inheritdoc/>
    public void Dispose()
    {
        _handle.Dispose();
        _hash.Dispose();
    }

    private void Verify(int position, CancellationToken cancellation)
    {
        if (position == _checksums.Length)
        {
            VerifyHeader();
            Sha256 = Convert.ToHexStringLower(_hash.GetHashAndReset());
            return;
        }

        var (sum, buffer) = (0UL, NewBuffer(position));
        ReadTensor(position, buffer, (bytes, element, size) =>
        {
            cancellation.ThrowIfCancellationRequested();
            _hash.AppendData(bytes);
            sum = unchecked(sum + BlockChecksum.Of(bytes, element, size));
        });
        if (sum != _checksums[position])
            throw new EnvironmentException($"{_path}: tensor '{Shard.Tensors[position].Tensor.Name}' reads back differently from what was written: a fault of disk or memory");
        _verified = position + 1;
    }

    private void VerifyHeader()
    {
        var header = new byte[Shard.Header.Length];
        Fill(header, 0);
        if (!header.AsSpan().SequenceEqual(Shard.Header))
            throw new EnvironmentException($"{_path}: the header reads back differently from what was written: a fault of disk or memory");
    }

    private delegate void Reader(ReadOnlySpan<byte> bytes, long firstElement, int elementSize);

    private byte[] NewBuffer(int position)
    {
        var block = BlockChecksum.Elements * Shard.Tensors[position].Tensor.DType.Size();
        return GC.AllocateUninitializedArray<byte>((int)Math.Min(8 * block, Math.Max(1, Shard.Tensors[position].Tensor.ByteLength)));
    }

    private void ReadTensor(int position, byte[] buffer, Reader reader)
    {
        var placed = Shard.Tensors[position];
        var size = placed.Tensor.DType.Size();
        for (var done = 0L; done < placed.Tensor.ByteLength;)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, placed.Tensor.ByteLength - done));
            Fill(part, placed.Offset + done);
            reader(part, done / size, size);
            done += part.Length;
        }
    }

    private void Fill(Span<byte> destination, long offset)
    {
        try
        {
            for (var filled = 0; filled < destination.Length;)
            {
                var count = RandomAccess.Read(_handle, destination[filled..], offset + filled);
                if (count == 0)
                    throw new EnvironmentException($"{_path}: became shorter while it was being written");
                filled += count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{_path}: cannot be read back: {e.Message}", e);
        }
    }

    /// <summary>The header is written in any case: an earlier run may have been killed before it wrote its own.</summary>
    private static SafeFileHandle Create(string path, Shard shard)
    {
        var handle = OpenSized(path, shard.Length);
        try
        {
            RandomAccess.Write(handle, shard.Header, 0);
            return handle;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static SafeFileHandle OpenSized(string path, long length)
    {
        if (File.Exists(path) && new FileInfo(path) is { LinkTarget: null } file && file.Length == length)
            return File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        File.Delete(path);
        var handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, preallocationSize: length);
        try
        {
            RandomAccess.SetLength(handle, length);
            return handle;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }
}
