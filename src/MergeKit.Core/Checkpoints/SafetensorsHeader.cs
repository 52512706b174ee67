using System.Buffers.Binary;
using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>The validated header of one safetensors file.</summary>
/// <remarks>
/// Layout: 8 bytes little-endian header length, the header as JSON, then the tensors' bytes without holes.
/// Source: github.com/huggingface/safetensors, section "Format". Nothing in the file is trusted: every length is checked before use.
/// </remarks>
public sealed class SafetensorsHeader
{
    /// <summary>The largest header accepted, as in the reference implementation.</summary>
    public const long MaxHeaderBytes = 100_000_000;

    private SafetensorsHeader(string file, long length, DateTime changed, IReadOnlyList<TensorInfo> tensors, IReadOnlyDictionary<string, string> metadata) =>
        (File, Length, Changed, Tensors, Metadata) = (file, length, changed, tensors, metadata);

    /// <summary>The file's path.</summary>
    public string File { get; }

    /// <summary>The whole file's bytes when the header was read.</summary>
    public long Length { get; }

    /// <summary>The file's time of change (UTC) when the header was read.</summary>
    public DateTime Changed { get; }

    /// <summary>The tensors in the order of their bytes.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>The free-form <c>__metadata__</c> strings.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The file as it was when the header was read.</summary>
    public CheckpointFile AsFile => new(File, Length, Changed) { Metadata = Metadata };

    /// <summary>Reads and validates the header of <paramref name="path"/>.</summary>
    /// <exception cref="InputException">The file is not a well-formed safetensors file; lists everything found.</exception>
    /// <exception cref="EnvironmentException">The file cannot be read.</exception>
    public static SafetensorsHeader Read(string path)
    {
        try
        {
            using var handle = System.IO.File.OpenHandle(path);
            return Read(path, handle, RandomAccess.GetLength(handle));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new InputException($"{path}: no such file", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static SafetensorsHeader Read(string path, Microsoft.Win32.SafeHandles.SafeFileHandle handle, long fileLength)
    {
        Span<byte> prefix = stackalloc byte[8];
        if (fileLength < 8 || RandomAccess.Read(handle, prefix, 0) < 8)
            throw new InputException($"{path}: truncated or not a safetensors file: {fileLength} bytes, but the header's length alone takes 8");
        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > MaxHeaderBytes)
            throw new InputException($"{path}: not a safetensors file: it states a header of {headerLength} bytes; at most {MaxHeaderBytes} are allowed");
        if (headerLength > (ulong)(fileLength - 8))
            throw new InputException($"{path}: truncated: its header takes {headerLength} bytes after the first 8, but the file has only {fileLength} bytes");
        var json = new byte[(int)headerLength];
        for (var read = 0; read < json.Length;)
        {
            var count = RandomAccess.Read(handle, json.AsSpan(read), 8 + read);
            if (count == 0)
                throw new InputException($"{path}: truncated: it became shorter while its header was read");
            read += count;
        }

        var dataStart = 8 + (long)headerLength;
        var problems = new List<Problem>();
        var (tensors, metadata) = SafetensorsHeaderParser.Parse(path, json, dataStart, problems);
        CheckPlacement(path, tensors, dataStart, fileLength, problems);
        if (problems.Count > 0)
            throw new InputException(problems);
        return new SafetensorsHeader(path, fileLength, System.IO.File.GetLastWriteTimeUtc(handle), tensors, metadata);
    }

    /// <summary>Tensors must cover the data section exactly: no hole, no overlap, nothing beyond the end, nothing left over.</summary>
    private static void CheckPlacement(string path, List<TensorInfo> tensors, long dataStart, long fileLength, List<Problem> problems)
    {
        tensors.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.ByteLength.CompareTo(b.ByteLength));
        var (end, last) = (dataStart, "the header");
        foreach (var tensor in tensors)
        {
            if (tensor.Offset < end)
                problems.Add(Problem.Error($"{path}: tensor '{tensor.Name}' overlaps '{last}': it starts at byte {tensor.Offset}, before byte {end}"));
            else if (tensor.Offset > end)
                problems.Add(Problem.Error($"{path}: {tensor.Offset - end} unaccounted bytes between '{last}' and tensor '{tensor.Name}'"));
            (end, last) = (Math.Max(end, tensor.Offset + tensor.ByteLength), tensor.Name);
        }

        if (end > fileLength)
            problems.Add(Problem.Error($"{path}: truncated: its tensors end at byte {end}, but the file has only {fileLength} bytes"));
        else if (end < fileLength && problems.Count == 0)
            problems.Add(Problem.Error($"{path}: {fileLength - end} bytes after the last tensor '{last}' belong to none"));
    }
}
