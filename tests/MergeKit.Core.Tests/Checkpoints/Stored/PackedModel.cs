using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Checkpoints.Stored;

/// <summary>Packed tensors that tests make up, and the one tensor that they mean.</summary>
internal static class PackedModel
{
    /// <summary>Writes a folder with these tensors and quantization settings.</summary>
    public static string Write(string folder, string? settings, params LoadedTensor[] tensors)
    {
        Directory.CreateDirectory(folder);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(Path.Combine(folder, "config.json"), settings is null ? """{"model_type": "x"}""" : $$"""{"model_type": "x", "quantization_config": {{settings}}}""");
        return folder;
    }

    public static LoadedTensor Bytes(string name, long[] shape, Func<int, byte> value) =>
        new(name, DType.U8, shape, [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(value)]);

    public static LoadedTensor Words(string name, DType type, long[] shape, uint[] words) => new(name, type, shape, [.. words.SelectMany(BitConverter.GetBytes)]);

    public static LoadedTensor Halves(string name, long[] shape, Half[] values) => new(name, DType.F16, shape, [.. values.SelectMany(BitConverter.GetBytes)]);

    /// <summary>The decoded tensor, read whole, by odd ranges, and mapped; all must agree with what is wanted.</summary>
    public static void AssertDecodes(string path, string name, long[] shape, float[] wanted, string form)
    {
        using var checkpoint = Checkpoint.Open(path);
        var tensor = checkpoint.Get(name);
        Assert.Equal(shape, tensor.Shape);
        Assert.Equal((DType.F32, form), (tensor.DType, tensor.Content?.Form));
        Assert.Equal(wanted, checkpoint.ReadAll(tensor));
        var (part, dice) = (new float[wanted.Length], new SplitMix(7));
        for (var round = 0; round < 50; round++)
        {
            var start = dice.Below(wanted.Length);
            var count = 1 + dice.Below(wanted.Length - start);
            checkpoint.Read(tensor, start, part.AsSpan(0, count), new byte[count * 8]);
            Assert.True(wanted.AsSpan(start, count).SequenceEqual(part.AsSpan(0, count)), $"elements {start} to {start + count}");
        }

        var mapped = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(checkpoint.Map(tensor).Slice(0, wanted.Length * 4));
        Assert.True(mapped.SequenceEqual(wanted));
    }
}
