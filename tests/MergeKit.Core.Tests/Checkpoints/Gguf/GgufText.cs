using System.Text;
using MergeKit.Core.Checkpoints.Gguf;

namespace MergeKit.Core.Tests.Checkpoints.Gguf;

/// <summary>Writes small GGUF files for tests, independently of the library's own writer.</summary>
internal static class GgufText
{
    public static void Write(string path, string? architecture, (string Name, GgufType Type, long[] Shape, byte[] Bytes)[] tensors)
    {
        using var writer = new BinaryWriter(File.Create(path), Encoding.UTF8);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)tensors.Length);
        (string Key, uint Value)[] numbers = [("attention.head_count", 4), ("attention.head_count_kv", 2)];
        writer.Write(architecture is null ? 0UL : 1UL + (ulong)numbers.Length);
        if (architecture is not null)
        {
            Text(writer, "general.architecture");
            writer.Write(8u);
            Text(writer, architecture);
            foreach (var (key, value) in numbers)
            {
                Text(writer, $"{architecture}.{key}");
                writer.Write(4u);
                writer.Write(value);
            }
        }

        var offset = 0UL;
        foreach (var (name, type, shape, bytes) in tensors)
        {
            Text(writer, name);
            writer.Write((uint)shape.Length);
            foreach (var extent in shape.Reverse())
                writer.Write((ulong)extent);
            writer.Write((uint)type);
            writer.Write(offset);
            offset += ((ulong)bytes.Length + 31) / 32 * 32;
        }

        foreach (var (_, _, _, bytes) in tensors)
        {
            writer.Write(new byte[(32 - writer.BaseStream.Position % 32) % 32]);
            writer.Write(bytes);
        }
    }

    private static void Text(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }
}
