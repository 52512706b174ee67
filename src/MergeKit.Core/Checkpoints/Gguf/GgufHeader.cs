using System.Text;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>One tensor of a GGUF file.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its extents, outermost first (the file has them the other way round).</param>
/// <param name="Offset">Position of its first byte in the file.</param>
/// <param name="Bytes">Its length.</param>
internal sealed record GgufTensor(string Name, GgufType Type, IReadOnlyList<long> Shape, long Offset, long Bytes);

/// <summary>A GGUF file's metadata and tensors (ggml, docs/gguf.md; versions 2 and 3). Every length is checked before it is used.</summary>
internal sealed class GgufHeader
{
    private const uint Magic = 0x46554747;
    private const long MostEntries = 1 << 20, MostTextBytes = 64 << 20, MostItems = 1 << 23;
    private const int MostAxes = 4;
    private readonly BinaryReader _reader;
    private readonly string _path;

    private GgufHeader(string path, BinaryReader reader) => (_path, _reader) = (path, reader);

    /// <summary>The file.</summary>
    public string Path => _path;

    /// <summary>Metadata: long, double, bool, string, or lists of these.</summary>
    public Dictionary<string, object> Values { get; } = new(StringComparer.Ordinal);

    /// <summary>The tensors, in the order of the file.</summary>
    public List<GgufTensor> Tensors { get; } = [];

    public static GgufHeader Read(string path)
    {
        try
        {
            using var reader = new BinaryReader(new BufferedStream(File.OpenRead(path), 1 << 16));
            var header = new GgufHeader(path, reader);
            header.Parse();
            return header;
        }
        catch (EndOfStreamException e)
        {
            throw new InputException($"{path}: truncated: the file ends within its header", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>A metadata value of a type; null where it is absent or of another type.</summary>
    public T? Value<T>(string key) where T : class => Values.GetValueOrDefault(key) as T;

    /// <summary>A number in the metadata; null where absent.</summary>
    public double? Number(string key) => Values.GetValueOrDefault(key) switch { long whole => whole, double real => real, _ => null };

    private void Parse()
    {
        if (_reader.ReadUInt32() != Magic)
            throw new InputException($"{_path}: not a GGUF file: it does not begin with 'GGUF'");
        var version = _reader.ReadUInt32();
        if (version is not (2 or 3))
            throw new InputException($"{_path}: GGUF version {version} is not supported; 2 and 3 (little-endian) are");
        var (tensors, values) = (Count(MostEntries, "tensors"), Count(MostEntries, "metadata entries"));
        for (var i = 0L; i < values; i++)
        {
            var key = Text();
            if (!Values.TryAdd(key, Item(_reader.ReadUInt32(), 0)))
                throw new InputException($"{_path}: the metadata name '{key}' twice");
        }

        var raw = new List<(string Name, uint Type, long[] Shape, ulong Offset)>();
        for (var i = 0L; i < tensors; i++)
            raw.Add(Entry());
        Place(raw);
    }

    private (string, uint, long[], ulong) Entry()
    {
        var (name, axes) = (Text(), _reader.ReadUInt32());
        if (axes > MostAxes)
            throw new InputException($"{_path}: tensor '{name}' has {axes} axes; at most {MostAxes} are possible");
        var shape = new long[axes];
        for (var axis = shape.Length - 1; axis >= 0; axis--)
            shape[axis] = _reader.ReadUInt64() is <= long.MaxValue and var extent ? (long)extent : throw new InputException($"{_path}: tensor '{name}' has an impossible shape");
        return (name, _reader.ReadUInt32(), shape, _reader.ReadUInt64());
    }

    private void Place(List<(string Name, uint Type, long[] Shape, ulong Offset)> raw)
    {
        var (problems, names, length) = (new List<Problem>(), new HashSet<string>(StringComparer.Ordinal), _reader.BaseStream.Length);
        var alignment = Number("general.alignment") is { } given ? (long)given : 32;
        if (alignment is < 1 or > 1 << 20)
            throw new InputException($"{_path}: general.alignment is {alignment}");
        var start = (_reader.BaseStream.Position + alignment - 1) / alignment * alignment;
        foreach (var (name, number, shape, offset) in raw)
        {
            var type = (GgufType)number;
            if (!names.Add(name))
                problems.Add(Problem.Error($"{_path}: has tensor '{name}' twice"));
            else if (type.Block() is not { } block)
                problems.Add(Problem.Error($"{_path}: tensor '{name}' has GGUF type {number}, which cannot be decoded; readable: {string.Join(", ", Enum.GetNames<GgufType>())}"));
            else if (Bytes(shape, block) is not { } bytes || offset > (ulong)length || start + (long)offset > length - bytes)
                problems.Add(Problem.Error($"{_path}: tensor '{name}' ({type} {TensorInfo.Text(shape)} at byte {offset} of the data) does not fit in the file of {length} bytes"));
            else
                Tensors.Add(new GgufTensor(name, type, shape, start + (long)offset, bytes));
        }

        if (problems.Count > 0)
            throw new InputException(problems);
    }

    private static long? Bytes(long[] shape, (int Elements, int Bytes) block)
    {
        try
        {
            var rows = shape.SkipLast(1).Aggregate(1L, (product, extent) => checked(product * extent));
            var row = shape.Length == 0 ? 1 : shape[^1];
            return row % block.Elements == 0 ? checked(rows * (row / block.Elements) * block.Bytes) : null;
        }
        catch (OverflowException)
        {
            return null;
        }
    }

    private object Item(uint type, int depth) => type switch
    {
        0 => (long)_reader.ReadByte(),
        1 => (long)_reader.ReadSByte(),
        2 => (long)_reader.ReadUInt16(),
        3 => (long)_reader.ReadInt16(),
        4 => (long)_reader.ReadUInt32(),
        5 => (long)_reader.ReadInt32(),
        6 => (double)_reader.ReadSingle(),
        7 => _reader.ReadByte() != 0,
        8 => Text(),
        9 when depth == 0 => Items(),
        10 => unchecked((long)_reader.ReadUInt64()),
        11 => _reader.ReadInt64(),
        12 => _reader.ReadDouble(),
        _ => throw new InputException($"{_path}: metadata of type {type} are not known"),
    };

    private List<object> Items()
    {
        var (type, count) = (_reader.ReadUInt32(), Count(MostItems, "items in a list"));
        var items = new List<object>();
        for (var i = 0L; i < count; i++)
            items.Add(Item(type, 1));
        return items;
    }

    private long Count(long most, string what) =>
        _reader.ReadUInt64() is var count && count <= (ulong)most ? (long)count : throw new InputException($"{_path}: states {count} {what}; at most {most} are believed");

    private string Text()
    {
        var length = Count(MostTextBytes, "bytes of a text");
        if (length > _reader.BaseStream.Length - _reader.BaseStream.Position)
            throw new InputException($"{_path}: truncated: a text of {length} bytes reaches past the file's end");
        return Encoding.UTF8.GetString(_reader.ReadBytes((int)length));
    }
}
