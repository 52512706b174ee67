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

/// <summary>Writes one safetensors file of tensors that are in memory.</summary>
public static class SafetensorsFile
{
    /// <summary>Writes aside, then renames: the file is there whole or not at all.</summary>
    /// <exception cref="Diagnostics.EnvironmentException">It cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<MemoryTensor> tensors)
    {
        var shard = ShardLayout.Create([.. tensors.Select(tensor => new PlannedTensor(tensor.Name, tensor.DType, tensor.Shape, tensor.Bytes.LongLength))], long.MaxValue).Shards[0];
        OutputFolder.Guard(path, () =>
        {
            var aside = path + ".partial";
            using (var file = File.Create(aside))
            {
                file.Write(shard.Header);
                foreach (var tensor in tensors)
                    file.Write(tensor.Bytes);
                file.Flush(flushToDisk: true);
            }

            File.Move(aside, path, overwrite: true);
            return true;
        });
    }
}
