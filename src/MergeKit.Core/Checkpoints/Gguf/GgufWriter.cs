using System.Numerics.Tensors;
using System.Text;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Writes GGUF files (version 3, little-endian): metadata, the list of tensors, the tensors at multiples of 32 bytes.</summary>
internal static class GgufWriter
{
    private const uint Magic = 0x46554747, Version = 3;
    private const int Alignment = 32, ChunkElements = 1 << 18;

    /// <summary>One tensor to write.</summary>
    /// <param name="Name">Its name in the file.</param>
    /// <param name="Type">Its type there.</param>
    /// <param name="Shape">Its shape, outermost first.</param>
    /// <param name="Read">Gives its elements.</param>
    public sealed record Item(string Name, GgufType Type, IReadOnlyList<long> Shape, Action<long, float[], int> Read)
    {
        public long Count => Shape.Aggregate(1L, (product, extent) => product * extent);

        public long Bytes => Count / Type.Block()!.Value.Elements * Type.Block()!.Value.Bytes;
    }

    /// <summary>Writes aside, then renames.</summary>
    /// <exception cref="EnvironmentException">The file cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<(string Key, object Value)> metadata, IReadOnlyList<Item> items, CancellationToken cancellation) => OutputFolder.Guard(path, () =>
    {
        var aside = path + ".partial";
        try
        {
            using (var file = File.Create(aside, 1 << 20))
            {
                WriteHeader(file, metadata, items);
                foreach (var item in items)
                    WriteItem(file, item, cancellation);
                file.Flush(flushToDisk: true);
            }

            File.Move(aside, path, overwrite: true);
            return true;
        }
        catch
        {
            File.Delete(aside);
            throw;
        }
    });

    private static void WriteHeader(FileStream file, IReadOnlyList<(string Key, object Value)> metadata, IReadOnlyList<Item> items)
    {
        using var writer = new BinaryWriter(file, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write((ulong)items.Count);
        writer.Write((ulong)metadata.Count);
        foreach (var (key, value) in metadata)
        {
            Text(writer, key);
            Value(writer, value);
        }

        var offset = 0UL;
        foreach (var item in items)
        {
            Text(writer, item.Name);
            writer.Write((uint)item.Shape.Count);
            foreach (var extent in item.Shape.Reverse())
                writer.Write((ulong)extent);
            writer.Write((uint)item.Type);
            writer.Write(offset);
            offset += (ulong)Aligned(item.Bytes);
        }

        writer.Flush();
        Pad(file);
    }

    private static void WriteItem(FileStream file, Item item, CancellationToken cancellation)
    {
        var (elements, size) = item.Type.Block()!.Value;
        var (values, bytes) = (new float[Math.Min(ChunkElements, item.Count)], new byte[Math.Min(ChunkElements, item.Count) / elements * size]);
        for (var start = 0L; start < item.Count; start += ChunkElements)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = (int)Math.Min(ChunkElements, item.Count - start);
            item.Read(start, values, count);
            var encoded = bytes.AsSpan(0, count / elements * size);
            if (item.Type == GgufType.Q8_0)
                Quantize(values.AsSpan(0, count), encoded);
            else
                TensorCodec.Encode(item.Type.Plain()!.Value, values.AsSpan(0, count), encoded);
            file.Write(encoded);
        }

        Pad(file);
    }

    /// <summary>Blocks of 32: d = max|x| / 127 as a 16-bit float, q = x / d rounded.</summary>
    private static void Quantize(ReadOnlySpan<float> values, Span<byte> bytes)
    {
        for (var block = 0; block < values.Length / 32; block++)
        {
            var x = values.Slice(block * 32, 32);
            var y = bytes.Slice(block * 34, 34);
            var scale = MathF.Abs(TensorPrimitives.MaxMagnitude(x)) / 127;
            BitConverter.TryWriteBytes(y, (Half)scale);
            for (var j = 0; j < 32; j++)
                y[2 + j] = (byte)(sbyte)(scale == 0 ? 0 : MathF.Round(x[j] / scale, MidpointRounding.AwayFromZero));
        }
    }

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    private static void Pad(FileStream file) => file.Write(new byte[Aligned(file.Position) - file.Position]);

    private static void Value(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case uint number: writer.Write(4u); writer.Write(number); break;
            case float number: writer.Write(6u); writer.Write(number); break;
            case bool flag: writer.Write(7u); writer.Write(flag); break;
            case string text: writer.Write(8u); Text(writer, text); break;
            case IReadOnlyList<string> texts: List(writer, 8, texts, text => Text(writer, text)); break;
            case IReadOnlyList<int> numbers: List(writer, 5, numbers, writer.Write); break;
            case IReadOnlyList<float> numbers: List(writer, 6, numbers, writer.Write); break;
            default: throw new ArgumentException($"{value.GetType()} is no type of metadata", nameof(value));
        }
    }

    private static void List<T>(BinaryWriter writer, uint type, IReadOnlyList<T> items, Action<T> write)
    {
        writer.Write(9u);
        writer.Write(type);
        writer.Write((ulong)items.Count);
        foreach (var item in items)
            write(item);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }
}
