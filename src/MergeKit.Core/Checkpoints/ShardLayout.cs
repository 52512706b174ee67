using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>A tensor to be written.</summary>
public readonly record struct PlannedTensor(string Name, DType DType, IReadOnlyList<long> Shape, long ByteLength);

/// <summary>One output file: its complete header, and its tensors in the order of their bytes.</summary>
/// <param name="FileName">Name within the folder.</param>
/// <param name="Header">The first bytes of the file: length and JSON.</param>
/// <param name="Tensors">Where each tensor goes.</param>
/// <param name="Length">Length of the whole file.</param>
public sealed record Shard(string FileName, byte[] Header, IReadOnlyList<PlacedTensor> Tensors, long Length);

/// <summary>A tensor's place: index in the plan, and offset of its first byte in the file.</summary>
public readonly record struct PlacedTensor(int Index, PlannedTensor Tensor, long Offset);

/// <summary>The files of a checkpoint, all offsets known before any data is. Tensors keep their order; a file is closed when the next
/// tensor would exceed the limit, so only a single tensor can make a file larger.</summary>
public sealed class ShardLayout
{
    /// <summary>Name of the index of a sharded checkpoint.</summary>
    public const string IndexFileName = "model.safetensors.index.json";

    private const long HeaderFrame = 64;

    private ShardLayout(IReadOnlyList<Shard> shards, string? indexJson) => (Shards, IndexJson) = (shards, indexJson);

    /// <summary>The files.</summary>
    public IReadOnlyList<Shard> Shards { get; }

    /// <summary>The index's text; null for a single file.</summary>
    public string? IndexJson { get; }

    /// <summary>Bytes of all files.</summary>
    public long TotalBytes => Shards.Sum(shard => shard.Length);

    /// <summary>Lays tensors out.</summary>
    /// <param name="tensors">In the order wanted.</param>
    /// <param name="shardBytes">Limit of a file's length.</param>
    /// <param name="metadata">Free-form texts for the headers, beside the format's name.</param>
    public static ShardLayout Create(IReadOnlyList<PlannedTensor> tensors, long shardBytes, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var groups = new List<List<int>> { new() };
        var size = HeaderFrame;
        for (var i = 0; i < tensors.Count; i++)
        {
            var bytes = tensors[i].ByteLength + HeaderAllowance(tensors[i]);
            if (groups[^1].Count > 0 && size + bytes > shardBytes)
            {
                groups.Add([]);
                size = HeaderFrame;
            }

            groups[^1].Add(i);
            size += bytes;
        }

        var shards = groups.Select((group, at) => MakeShard(tensors, group, FileName(at, groups.Count), metadata)).ToList();
        return new ShardLayout(shards, shards.Count == 1 ? null : MakeIndex(shards));
    }

    private static string FileName(int at, int count) =>
        count == 1 ? "model.safetensors" : $"model-{at + 1:D5}-of-{count:D5}.safetensors";

    /// <summary>An upper bound of what a tensor adds to the header, so that whole files stay below the limit.</summary>
    private static long HeaderAllowance(PlannedTensor tensor) => 6L * tensor.Name.Length + 22 * tensor.Shape.Count + 110;

    private static Shard MakeShard(IReadOnlyList<PlannedTensor> tensors, List<int> group, string fileName, IReadOnlyDictionary<string, string>? metadata)
    {
        var offsets = new long[group.Count];
        var end = 0L;
        for (var i = 0; i < group.Count; i++)
            (offsets[i], end) = (end, end + tensors[group[i]].ByteLength);
        var header = MakeHeader([.. group.Select((index, i) => (tensors[index], offsets[i]))], metadata);
        var placed = group.Select((index, i) => new PlacedTensor(index, tensors[index], header.Length + offsets[i])).ToList();
        return new Shard(fileName, header, placed, header.Length + end);
    }

    private static byte[] MakeHeader(IReadOnlyList<(PlannedTensor Tensor, long Offset)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("__metadata__");
            writer.WriteString("format", "pt");
            foreach (var (key, value) in (metadata ?? new Dictionary<string, string>()).OrderBy(pair => pair.Key, StringComparer.Ordinal))
                writer.WriteString(key, value);
            writer.WriteEndObject();
            foreach (var (tensor, offset) in tensors)
                WriteTensor(writer, tensor, offset);
            writer.WriteEndObject();
        }

        var length = (int)(json.Length + 7) / 8 * 8;
        var header = new byte[8 + length];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)length);
        header.AsSpan(8).Fill((byte)' ');
        json.GetBuffer().AsSpan(0, (int)json.Length).CopyTo(header.AsSpan(8));
        return header;
    }

    private static void WriteTensor(Utf8JsonWriter writer, PlannedTensor tensor, long offset)
    {
        writer.WriteStartObject(tensor.Name);
        writer.WriteString("dtype", tensor.DType.SafetensorsName());
        writer.WriteStartArray("shape");
        foreach (var extent in tensor.Shape)
            writer.WriteNumberValue(extent);
        writer.WriteEndArray();
        writer.WriteStartArray("data_offsets");
        writer.WriteNumberValue(offset);
        writer.WriteNumberValue(offset + tensor.ByteLength);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static string MakeIndex(List<Shard> shards)
    {
        var map = new JsonObject();
        foreach (var shard in shards)
            foreach (var placed in shard.Tensors)
                map.Add(placed.Tensor.Name, shard.FileName);
        var total = shards.Sum(shard => shard.Tensors.Sum(placed => placed.Tensor.ByteLength));
        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = total }, ["weight_map"] = map };
        return index.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }
}
