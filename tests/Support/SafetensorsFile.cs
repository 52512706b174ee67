using System.Text;
using System.Text.Json.Nodes;
using MergeKit.Core.Numerics;

namespace MergeKit.Tests.Support;

/// <summary>Writes small safetensors files for tests, independently of the library's own writer.</summary>
public static class SafetensorsFile
{
    /// <summary>Writes the tensors in the given order.</summary>
    public static void Write(string path, params IEnumerable<LoadedTensor> tensors)
    {
        var list = tensors.ToList();
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long offset = 0;
        foreach (var tensor in list)
        {
            header[tensor.Name] = new JsonObject
            {
                ["dtype"] = tensor.DType.SafetensorsName(),
                ["shape"] = new JsonArray([.. tensor.Shape.Select(extent => (JsonNode)extent)]),
                ["data_offsets"] = new JsonArray(offset, offset + tensor.Bytes.Length),
            };
            offset += tensor.Bytes.Length;
        }

        var json = Encoding.UTF8.GetBytes(header.ToJsonString());
        using var stream = File.Create(path);
        stream.Write(BitConverter.GetBytes((ulong)json.Length));
        stream.Write(json);
        foreach (var tensor in list)
            stream.Write(tensor.Bytes);
    }
}
