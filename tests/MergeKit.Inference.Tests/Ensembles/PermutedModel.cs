using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MemoryTensor = MergeKit.Core.Checkpoints.Writing.MemoryTensor;
using Writer = MergeKit.Core.Checkpoints.Writing.SafetensorsFile;

namespace MergeKit.Inference.Tests.Ensembles;

/// <summary>A trained model with its tokens renumbered: the same model to a reader of text, another one to a reader of ids.</summary>
internal static class PermutedModel
{
    private const string EndOfText = "<|endoftext|>", Renamed = "</s>";

    /// <summary>Writes the model; its token for the end of a text has another name besides.</summary>
    public static string Write(string source, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var name in new[] { "config.json", "tokenizer_config.json", "special_tokens_map.json" })
            File.WriteAllText(Path.Combine(folder, name), File.ReadAllText(Path.Combine(source, name)).Replace(EndOfText, Renamed, StringComparison.Ordinal));
        var tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "tokenizer.json")).Replace(EndOfText, Renamed, StringComparison.Ordinal))!;
        var vocabulary = tokenizer["model"]!["vocab"]!.AsObject();
        using var checkpoint = Checkpoint.Open(source);
        var rows = (int)checkpoint.Get("model.embed_tokens.weight").Shape[0];
        foreach (var (token, id) in vocabulary.ToList())
            vocabulary[token] = New((int)id!, rows);
        foreach (var token in tokenizer["added_tokens"]!.AsArray())
            token!["id"] = New((int)token["id"]!, rows);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), tokenizer.ToJsonString());
        Writer.Write(Path.Combine(folder, "model.safetensors"), [.. checkpoint.Tensors.Select(tensor => Copy(checkpoint, tensor, rows))]);
        return folder;
    }

    /// <summary>The new id of an old one.</summary>
    public static int New(int id, int count) => (int)(((long)id * 1021) + 5) % count;

    private static MemoryTensor Copy(Checkpoint checkpoint, TensorInfo tensor, int rows)
    {
        var bytes = new byte[tensor.ByteLength];
        checkpoint.Read(tensor, 0, bytes);
        if (tensor.Name != "model.embed_tokens.weight")
            return new MemoryTensor(tensor.Name, tensor.DType, tensor.Shape, bytes);
        var (moved, row) = (new byte[bytes.Length], bytes.Length / rows);
        for (var id = 0; id < rows; id++)
            bytes.AsSpan(id * row, row).CopyTo(moved.AsSpan(New(id, rows) * row));
        return new MemoryTensor(tensor.Name, tensor.DType, tensor.Shape, moved);
    }
}
