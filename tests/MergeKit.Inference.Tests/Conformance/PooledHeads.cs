using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Numerics;
using Writer = MergeKit.Core.Checkpoints.Writing.SafetensorsFile;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>A model with as many key-value heads as heads, turned into one with grouped queries: neighbouring heads pooled (Ainslie et al. 2023). Tests
/// only: it shows that the engine runs the result as the reference does.</summary>
internal static class PooledHeads
{
    public static string Write(string folder, int kvHeads, string pooling, string output)
    {
        Directory.CreateDirectory(output);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();
        config["num_key_value_heads"] = kvHeads;
        File.WriteAllText(Path.Combine(output, "config.json"), config.ToJsonString());
        var group = (int)config["num_attention_heads"]! / kvHeads;
        using var checkpoint = Checkpoint.Open(folder);
        Writer.Write(
            Path.Combine(output, "model.safetensors"), [.. checkpoint.Tensors.Select(tensor => Convert(checkpoint, tensor, kvHeads, group, pooling))]);
        return output;
    }

    private static MemoryTensor Convert(Checkpoint checkpoint, TensorInfo tensor, int kvHeads, int group, string pooling)
    {
        var bytes = new byte[tensor.ElementCount * tensor.DType.Size()];
        checkpoint.Read(tensor, 0, bytes);
        var values = new float[tensor.ElementCount];
        TensorCodec.Decode(tensor.DType, bytes, values);
        var isPooled = tensor.Name.Contains("k_proj", StringComparison.Ordinal) || tensor.Name.Contains("v_proj", StringComparison.Ordinal);
        return isPooled ? MemoryTensor.Of(tensor.Name, [tensor.Shape[0] / group, tensor.Shape[1]], Pool(values, kvHeads, group, pooling))
            : MemoryTensor.Of(tensor.Name, [.. tensor.Shape], values);
    }

    /// <summary>Rows are [kvHeads, group, width]; each group becomes its mean or its first head.</summary>
    private static float[] Pool(float[] values, int kvHeads, int group, string pooling)
    {
        var head = values.Length / (kvHeads * group);
        return [.. Enumerable.Range(0, kvHeads).SelectMany(kv => Enumerable.Range(0, head).Select(i => pooling switch
        {
            "first" => values[kv * group * head + i],
            "mean" => (float)(Enumerable.Range(0, group).Sum(g => (double)values[((kv * group) + g) * head + i]) / group),
            _ => throw new InvalidOperationException($"unknown pooling '{pooling}'"),
        }))];
    }
}
