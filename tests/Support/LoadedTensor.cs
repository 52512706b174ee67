using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Tests.Support;

/// <summary>A tensor held in memory by a test.</summary>
public sealed record LoadedTensor(string Name, DType DType, long[] Shape, byte[] Bytes)
{
    /// <summary>Number of elements.</summary>
    public int Count => Bytes.Length / DType.Size();

    /// <summary>The shape as text.</summary>
    public string ShapeText => TensorInfo.Text(Shape);

    /// <summary>The elements, decoded by the tests' own decoder.</summary>
    public double[] Values() => ElementDecoder.Decode(DType, Bytes);

    /// <summary>A float32 tensor.</summary>
    public static LoadedTensor Float32(string name, long[] shape, params float[] values) =>
        new(name, DType.F32, shape, [.. values.SelectMany(BitConverter.GetBytes)]);

    /// <summary>Every tensor of a model folder or of one safetensors file, by name.</summary>
    public static SortedDictionary<string, LoadedTensor> LoadAll(string path)
    {
        using var checkpoint = Checkpoint.Open(path);
        var loaded = new SortedDictionary<string, LoadedTensor>(StringComparer.Ordinal);
        foreach (var tensor in checkpoint.Tensors)
        {
            var bytes = new byte[tensor.ByteLength];
            checkpoint.Read(tensor, 0, bytes);
            loaded.Add(tensor.Name, new LoadedTensor(tensor.Name, tensor.DType, [.. tensor.Shape], bytes));
        }

        return loaded;
    }
}
