using System.Collections.Concurrent;
using MergeKit.Core.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints;

/// <summary>A model folder (or one safetensors file) whose headers have all been validated. Lends bytes; copies nothing on opening.</summary>
/// <remarks>Bytes come in two ways: <see cref="Read"/> copies a range (a file that shrinks meanwhile gives an error, not a crash),
/// <see cref="Map"/> lends memory-mapped pages for the lifetime of the checkpoint. Both are thread-safe.</remarks>
public sealed class Checkpoint : IDisposable
{
    private readonly Dictionary<string, TensorInfo> _byName;
    private readonly ConcurrentDictionary<string, Lazy<SafeFileHandle>> _handles = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<MappedFile>> _maps = new(StringComparer.Ordinal);

    internal Checkpoint(string path, IReadOnlyList<SafetensorsHeader> files, IReadOnlyList<TensorInfo> tensors, IReadOnlyList<Problem> warnings)
    {
        (Path, Files, Tensors, Warnings) = (path, files, tensors, warnings);
        _byName = tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The folder or file that was opened.</summary>
    public string Path { get; }

    /// <summary>The headers of the files that hold the tensors.</summary>
    public IReadOnlyList<SafetensorsHeader> Files { get; }

    /// <summary>Every tensor, in the order of files and bytes.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>What was odd but usable.</summary>
    public IReadOnlyList<Problem> Warnings { get; }

    /// <summary>Opens a model folder (<c>model.safetensors</c>, or shards with <c>model.safetensors.index.json</c>) or one safetensors file.</summary>
    /// <exception cref="InputException">Something is missing or malformed; lists everything found.</exception>
    public static Checkpoint Open(string path) => CheckpointOpener.Open(path);

    /// <summary>The tensor of that name, or null.</summary>
    public TensorInfo? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The tensor of that name.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public TensorInfo Get(string name) =>
        Find(name) ?? throw new InputException($"{Path}: has no tensor '{name}'.{Spelling.Hint(name, _byName.Keys)}");

    /// <summary>Copies bytes of a tensor, starting <paramref name="byteOffset"/> into it.</summary>
    /// <exception cref="EnvironmentException">The file cannot be read or has become shorter.</exception>
    public void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset + destination.Length, tensor.ByteLength);
        try
        {
            var handle = _handles.GetOrAdd(tensor.File, file => new Lazy<SafeFileHandle>(() => File.OpenHandle(file))).Value;
            for (var done = 0; done < destination.Length;)
            {
                var count = RandomAccess.Read(handle, destination[done..], tensor.Offset + byteOffset + done);
                if (count == 0)
                    throw new EnvironmentException($"{tensor.File}: became shorter while tensor '{tensor.Name}' was read");
                done += count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{tensor.File}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Lends a tensor's bytes as mapped memory; valid until the checkpoint is disposed.</summary>
    public MappedBytes Map(TensorInfo tensor)
    {
        var map = _maps.GetOrAdd(tensor.File, file => new Lazy<MappedFile>(() => new MappedFile(file))).Value;
        return map.Slice(tensor.Offset, tensor.ByteLength);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var handle in _handles.Values.Where(handle => handle.IsValueCreated))
            handle.Value.Dispose();
        foreach (var map in _maps.Values.Where(map => map.IsValueCreated))
            map.Value.Dispose();
        _handles.Clear();
        _maps.Clear();
    }
}
