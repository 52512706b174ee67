using System.Buffers;
using System.Collections.Concurrent;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints;

/// <summary>The tensors of a model folder or weight file whose headers have all been validated. Lends bytes; copies nothing on opening.</summary>
/// <remarks>Bytes come in two ways: <see cref="Read(TensorInfo, long, Span{byte})"/> copies a range (a file that shrinks meanwhile gives an error, not a crash),
/// <see cref="Map"/> lends memory-mapped pages for the lifetime of the checkpoint. Both are thread-safe. Tensors with
/// <see cref="TensorInfo.Content"/> are made on the way: by chunks in the first case, whole and once in the second.</remarks>
public sealed class Checkpoint : IDisposable
{
    private readonly Dictionary<string, TensorInfo> _byName;
    private readonly ConcurrentDictionary<string, Lazy<SafeFileHandle>> _handles = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<MappedFile>> _maps = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<MadeTensor>> _made = new(StringComparer.Ordinal);
    private readonly IReadOnlyList<IDisposable> _owned;

    /// <summary>Tensors of files, or made of other checkpoints' tensors.</summary>
    /// <param name="path">What it is called in messages.</param>
    /// <param name="files">The files that were read for it.</param>
    /// <param name="tensors">Its tensors; names are unique.</param>
    /// <param name="warnings">What was odd but usable.</param>
    /// <param name="owned">What its tensors are made of, disposed of together with it.</param>
    public Checkpoint(
        string path, IReadOnlyList<CheckpointFile> files, IReadOnlyList<TensorInfo> tensors, IReadOnlyList<Problem> warnings, params IReadOnlyList<IDisposable> owned)
    {
        (Path, Files, Tensors, Warnings, _owned) = (path, files, tensors, warnings, owned);
        _byName = tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The folder or file that was opened.</summary>
    public string Path { get; }

    /// <summary>The files that hold the tensors.</summary>
    public IReadOnlyList<CheckpointFile> Files { get; }

    /// <summary>Every tensor, in the order of files and bytes.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>What was odd but usable.</summary>
    public IReadOnlyList<Problem> Warnings { get; }

    /// <summary>Opens a model folder (safetensors, PyTorch or GGUF files, one or sharded with an index) or one such file.</summary>
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
        if (tensor.Content is { } content)
        {
            Make(content, tensor.DType, byteOffset, destination);
            return;
        }

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

    /// <summary>Reads elements as float32, starting with element <paramref name="start"/>.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="start">The first element.</param>
    /// <param name="destination">As many elements as are wanted.</param>
    /// <param name="scratch">At least as many bytes as the elements take when stored, at most 8 each.</param>
    public void Read(TensorInfo tensor, long start, Span<float> destination, Span<byte> scratch)
    {
        if (tensor.Content is { } content)
        {
            content.Read(start, destination);
            return;
        }

        var size = tensor.DType.Size();
        var bytes = scratch[..(destination.Length * size)];
        Read(tensor, start * size, bytes);
        TensorCodec.Decode(tensor.DType, bytes, destination);
    }

    /// <summary>A whole tensor as float32.</summary>
    public float[] ReadAll(TensorInfo tensor)
    {
        const int step = 1 << 16;
        var (values, scratch) = (new float[tensor.ElementCount], new byte[step * sizeof(double)]);
        for (var start = 0; start < values.Length; start += step)
            Read(tensor, start, values.AsSpan(start, Math.Min(step, values.Length - start)), scratch);
        return values;
    }

    /// <summary>Lends a tensor's bytes as mapped memory; valid until the checkpoint is disposed.</summary>
    public MappedBytes Map(TensorInfo tensor)
    {
        if (tensor.Content is not null)
            return _made.GetOrAdd(tensor.Name, _ => new Lazy<MadeTensor>(() => new MadeTensor(this, tensor))).Value.Bytes;
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
        foreach (var made in _made.Values.Where(made => made.IsValueCreated))
            made.Value.Dispose();
        foreach (var owned in _owned)
            owned.Dispose();
        _handles.Clear();
        _maps.Clear();
        _made.Clear();
    }

    private static void Make(ITensorContent content, DType type, long byteOffset, Span<byte> destination)
    {
        var size = type.Size();
        if (byteOffset % size != 0 || destination.Length % size != 0)
            throw new ArgumentException("tensors that are made when they are read can be read by whole elements only", nameof(byteOffset));
        var rented = ArrayPool<float>.Shared.Rent(destination.Length / size);
        var values = rented.AsSpan(0, destination.Length / size);
        content.Read(byteOffset / size, values);
        TensorCodec.Encode(type, values, destination);
        ArrayPool<float>.Shared.Return(rented);
    }
}
