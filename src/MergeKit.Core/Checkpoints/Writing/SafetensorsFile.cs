using System.Runtime.InteropServices;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>A small tensor in memory.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DType">Type of the stored elements.</param>
/// <param name="Shape">Extent of each axis.</param>
/// <param name="Bytes">The elements, little-endian.</param>
public sealed record MemoryTensor(string Name, DType DType, IReadOnlyList<long> Shape, byte[] Bytes)
{
    /// <summary>A float32 tensor.</summary>
    public static MemoryTensor Of(string name, IReadOnlyList<long> shape, ReadOnlySpan<float> values) =>
        new(name, DType.F32, shape, MemoryMarshal.AsBytes(values).ToArray());

    /// <summary>A tensor of 64-bit integers.</summary>
    public static MemoryTensor Of(string name, IReadOnlyList<long> shape, ReadOnlySpan<long> values) =>
        new(name, DType.I64, shape, MemoryMarshal.AsBytes(values).ToArray());
}

/// <summary>A float32 tensor in memory.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Extent of each axis.</param>
/// <param name="Values">The elements.</param>
public sealed record FloatTensor(string Name, IReadOnlyList<long> Shape, float[] Values);

/// <summary>Writes one safetensors file of tensors that are in memory.</summary>
public static class SafetensorsFile
{
    private const int Piece = 1 << 24;

    /// <summary>Writes aside, then renames: the file is there whole or not at all.</summary>
    /// <exception cref="Diagnostics.EnvironmentException">It cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<MemoryTensor> tensors) => Write(
        path, [.. tensors.Select(tensor => new PlannedTensor(tensor.Name, tensor.DType, tensor.Shape, tensor.Bytes.LongLength))], null,
        (file, index) => file.Write(tensors[index].Bytes));

    /// <summary>The same for float32 tensors, with free-form texts in the header.</summary>
    /// <exception cref="Diagnostics.EnvironmentException">It cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<FloatTensor> tensors, IReadOnlyDictionary<string, string> metadata) => Write(
        path, [.. tensors.Select(tensor => new PlannedTensor(tensor.Name, DType.F32, tensor.Shape, tensor.Values.LongLength * sizeof(float)))], metadata,
        (file, index) =>
        {
            var values = tensors[index].Values;
            for (var start = 0; start < values.Length; start += Piece)
                file.Write(MemoryMarshal.AsBytes(values.AsSpan(start, Math.Min(Piece, values.Length - start))));
        });

    private static void Write(string path, IReadOnlyList<PlannedTensor> tensors, IReadOnlyDictionary<string, string>? metadata, Action<FileStream, int> write)
    {
        var shard = ShardLayout.Create(tensors, long.MaxValue, metadata).Shards[0];
        OutputFolder.Guard(path, () =>
        {
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder)
                Directory.CreateDirectory(folder);
            var aside = path + ".partial";
            using (var file = File.Create(aside))
            {
                file.Write(shard.Header);
                for (var index = 0; index < tensors.Count; index++)
                    write(file, index);
                file.Flush(flushToDisk: true);
            }

            File.Move(aside, path, overwrite: true);
            return true;
        });
    }
}
