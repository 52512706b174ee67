using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.PyTorch;

/// <summary>A checkpoint as <c>torch.save</c> writes it (zip form, since PyTorch 1.6): tensors are read where they lie in the archive. The pickle
/// inside is read by a machine that can build containers and tensors and nothing else, so no file can run code.</summary>
internal static class PyTorchFile
{
    private const long MostPickleBytes = 512 << 20;

    /// <summary>Dictionaries that training programs put around a state dict.</summary>
    private static readonly string[] Wrappers = ["state_dict", "model_state_dict", "model", "module"];

    /// <summary>The file and its tensors; what is not a tensor is among the warnings.</summary>
    /// <exception cref="InputException">Not a PyTorch zip file, or its pickle asks for more than tensors.</exception>
    public static WeightFile Read(string path)
    {
        try
        {
            using var handle = File.OpenHandle(path);
            if (!ZipDirectory.IsZip(handle))
                throw new InputException($"{path}: not a zip file as PyTorch writes since version 1.6; load and save it with a newer PyTorch, or convert it to safetensors");
            return Read(path, handle);
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

    private static WeightFile Read(string path, SafeFileHandle handle)
    {
        var members = ZipDirectory.Read(path, handle);
        var pickle = members.Values.FirstOrDefault(member => member.Name == "data.pkl" || member.Name.EndsWith("/data.pkl", StringComparison.Ordinal));
        if (pickle.Name is null)
            throw new InputException($"{path}: a zip file without data.pkl: not a PyTorch checkpoint{(members.Keys.Any(name => name.Contains("/code/", StringComparison.Ordinal)) ? " (a TorchScript archive cannot be read)" : "")}");
        var root = pickle.Name[..^"data.pkl".Length];
        if (members.TryGetValue(root + "byteorder", out var order) && Text(path, handle, order) is var name && name != "little")
            throw new InputException($"{path}: its numbers are {name}-endian; only little-endian files can be read");
        try
        {
            var bytes = ZipDirectory.Take(path, handle, RandomAccess.GetLength(handle), pickle.Offset, pickle.Length, MostPickleBytes);
            return Collect(path, new PickleReader(bytes).Read(), key => members.TryGetValue($"{root}data/{key}", out var member) ? member : null);
        }
        catch (PickleException e)
        {
            throw new InputException($"{path}: its pickle ({pickle.Name}) is refused: {e.Message}", e);
        }
    }

    private static string Text(string path, SafeFileHandle handle, ZipMember member) =>
        System.Text.Encoding.ASCII.GetString(ZipDirectory.Take(path, handle, RandomAccess.GetLength(handle), member.Offset, member.Length, 64)).Trim();

    private static WeightFile Collect(string path, object? value, Func<string, ZipMember?> find)
    {
        if (StateDict(value) is not { } state)
            throw new InputException($"{path}: holds no dictionary of tensors");
        var (tensors, problems, others) = (new List<TensorInfo>(), new List<Problem>(), new List<string>());
        foreach (var (name, entry) in state.Entries)
            if (entry is not PickleTensor tensor)
                others.Add(name);
            else if (Place(path, name, tensor, find, problems) is { } placed)
                tensors.Add(placed);
        if (problems.Count > 0)
            throw new InputException(problems);
        var warnings = others.Count == 0 ? new List<Problem>() : [Problem.Warning($"{path}: {others.Count} entries are no tensors and are left out ({string.Join(", ", others.Take(4))})")];
        return new WeightFile(CheckpointFile.Of(path), tensors, warnings);
    }

    private static PickleDictionary? StateDict(object? value)
    {
        if (value is not PickleDictionary dictionary)
            return null;
        if (dictionary.Entries.Any(entry => entry.Value is PickleTensor))
            return dictionary;
        return Wrappers.Select(name => dictionary.Entries.FirstOrDefault(entry => entry.Key == name).Value).OfType<PickleDictionary>().FirstOrDefault(inner => inner.Entries.Any(entry => entry.Value is PickleTensor));
    }

    private static TensorInfo? Place(string path, string name, PickleTensor tensor, Func<string, ZipMember?> find, List<Problem> problems)
    {
        try
        {
            if (find(tensor.Storage.Key) is not { } member)
                return Wrong(path, name, $"its data, member '{tensor.Storage.Key}', are missing", problems);
            var size = tensor.Type.Size();
            var count = tensor.Shape.Aggregate(1L, (product, extent) => checked(product * extent));
            var last = count == 0 ? 0 : checked(tensor.Offset + tensor.Shape.Zip(tensor.Strides).Aggregate(0L, (sum, axis) => checked(sum + (axis.First - 1) * axis.Second)));
            if (tensor.Offset < 0 || (count > 0 && last >= member.Length / size))
                return Wrong(path, name, $"it reaches to element {last}, but its storage has only {member.Length / size}", problems);
            var start = member.Offset + tensor.Offset * size;
            var info = new TensorInfo(name, tensor.Type, tensor.Shape, path, start, checked(count * size));
            if (IsContiguous(tensor))
                return info;
            return count * size > MostViewBytes(member) ? Wrong(path, name, "its strides show the same elements over and over", problems)
                : info with { Content = new StridedContent(path, member.Offset, tensor) };
        }
        catch (OverflowException)
        {
            return Wrong(path, name, $"its shape {TensorInfo.Text(tensor.Shape)} has more elements than any file", problems);
        }
    }

    /// <summary>A broadcast view may be larger than its storage, but not without bounds.</summary>
    private static long MostViewBytes(ZipMember member) => 16 * member.Length + (1 << 20);

    private static bool IsContiguous(PickleTensor tensor)
    {
        var step = 1L;
        for (var axis = tensor.Shape.Count - 1; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] != 1 && tensor.Strides[axis] != step)
                return tensor.Shape.Contains(0);
            step *= tensor.Shape[axis];
        }

        return true;
    }

    private static TensorInfo? Wrong(string path, string name, string what, List<Problem> problems)
    {
        problems.Add(Problem.Error($"{path}: tensor '{name}': {what}"));
        return null;
    }
}

/// <summary>A view that is not stored row by row (a transposed tensor): gathered element by element from the mapped file.</summary>
internal sealed class StridedContent(string path, long dataOffset, PickleTensor tensor) : ITensorContent, IDisposable
{
    private readonly Lazy<MappedFile> _file = new(() => new MappedFile(path));

    public string Form => "a strided view";

    public void Read(long start, Span<float> destination)
    {
        var size = tensor.Type.Size();
        var data = _file.Value.Slice(dataOffset, new FileInfo(path).Length - dataOffset);
        Span<byte> one = stackalloc byte[8];
        for (var i = 0; i < destination.Length; i++)
        {
            var (rest, at) = (start + i, tensor.Offset);
            for (var axis = tensor.Shape.Count - 1; axis >= 0; axis--)
            {
                at += rest % tensor.Shape[axis] * tensor.Strides[axis];
                rest /= tensor.Shape[axis];
            }

            data.Slice(at * size, size).CopyTo(one);
            TensorCodec.Decode(tensor.Type, one[..size], destination.Slice(i, 1));
        }
    }

    public void Dispose()
    {
        if (_file.IsValueCreated)
            _file.Value.Dispose();
    }
}
