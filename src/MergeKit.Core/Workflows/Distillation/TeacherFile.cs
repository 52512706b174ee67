using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Workflows.Distillation;

/// <summary>Distillation data on disk, a folder with three files.
/// <para><c>distillation.json</c>: <c>format</c> ("mergekit-net-distillation/1"), <c>teacher</c>, <c>tokenizer</c> (a hash of the vocabulary), <c>vocabulary_size</c>,
/// <c>temperature</c>, <c>top</c> (M), <c>sequences</c>, <c>positions</c>.</para>
/// <para><c>teacher.safetensors</c>: <c>input_ids</c> I64 [tokens], all sequences one after the other; <c>sequence_starts</c> I64 [sequences + 1];
/// <c>prompt_lengths</c> I64 [sequences]; <c>top_ids</c> I64 and <c>top_logprobs</c> F32 [positions, M], by falling probability, natural logarithms at the
/// temperature; <c>tail_logprob</c> F32 [positions], of the mass of all other tokens. Positions are the answers' tokens in order: the first of a sequence
/// is predicted by the last token of its prompt.</para>
/// <para><c>sequences.jsonl</c>: <c>{"prompt", "text"}</c> per sequence, for training on the teacher's text.</para></summary>
public static class TeacherFile
{
    private const string Format = "mergekit-net-distillation/1";

    /// <summary>Writes the folder, which must not exist or be empty; it appears whole or not at all.</summary>
    public static void Write(string folder, TeacherData data, IEnumerable<(string Prompt, string Text)> texts)
    {
        using var output = OutputFolder.Prepare(folder);
        SafetensorsFile.Write(output.PathOf("teacher.safetensors"),
        [
            MemoryTensor.Of("input_ids", [data.Ids.Length], data.Ids),
            MemoryTensor.Of("sequence_starts", [data.Starts.Length], data.Starts),
            MemoryTensor.Of("prompt_lengths", [data.Sequences], data.PromptLengths),
            MemoryTensor.Of("top_ids", [data.Positions, data.Top], data.TopIds),
            MemoryTensor.Of("top_logprobs", [data.Positions, data.Top], data.TopLogProbs),
            MemoryTensor.Of("tail_logprob", [data.Positions], data.TailLogProbs),
        ]);
        output.WriteText("sequences.jsonl", string.Concat(texts.Select(pair => new JsonObject { ["prompt"] = pair.Prompt, ["text"] = pair.Text }.ToJsonString() + "\n")));
        output.WriteText("distillation.json", new JsonObject
        {
            ["format"] = Format,
            ["teacher"] = data.Teacher,
            ["tokenizer"] = data.TokenizerId,
            ["vocabulary_size"] = data.VocabularySize,
            ["temperature"] = data.Temperature,
            ["top"] = data.Top,
            ["sequences"] = data.Sequences,
            ["positions"] = data.Positions,
        }.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
        output.Publish();
    }

    /// <summary>Reads a folder and checks that everything fits together. Errors: <see cref="InputException"/> with the file, and the tensor or key.</summary>
    public static TeacherData Read(string folder)
    {
        var manifest = Manifest(Path.Combine(folder, "distillation.json"));
        var path = Path.Combine(folder, "teacher.safetensors");
        using var file = Checkpoint.Open(path);
        var (top, size, positions, sequences) = (Number("top"), Number("vocabulary_size"), Number("positions"), Number("sequences"));
        var starts = Integers("sequence_starts", sequences + 1L);
        var lengths = Integers("prompt_lengths", sequences);
        var ids = Integers("input_ids", starts.Length > 0 ? starts[^1] : 0);
        var data = new TeacherData(
            Text("teacher"), Text("tokenizer"), size, Temperature(), top, ids, starts, lengths, Integers("top_ids", (long)positions * top),
            Floats("top_logprobs", (long)positions * top), Floats("tail_logprob", positions));
        Check(path, data);
        return data;

        string Text(string key) => manifest[key] is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw Wrong(key, "text");
        int Number(string key) => manifest[key] is JsonValue value && value.TryGetValue<int>(out var number) && number > 0 ? number : throw Wrong(key, "a whole number above 0");
        double Temperature() => manifest["temperature"] is JsonValue value && value.TryGetValue<double>(out var number) && number > 0 ? number : throw Wrong("temperature", "a number above 0");
        InputException Wrong(string key, string wanted) => new($"{Path.Combine(folder, "distillation.json")}: '{key}' is {manifest[key]?.ToJsonString() ?? "missing"}; wanted {wanted}");
        long[] Integers(string name, long count) => MemoryMarshal.Cast<byte, long>(Bytes(name, count, DType.I64)).ToArray();
        float[] Floats(string name, long count) => MemoryMarshal.Cast<byte, float>(Bytes(name, count, DType.F32)).ToArray();
        byte[] Bytes(string name, long count, DType type)
        {
            var tensor = file.Get(name);
            if (tensor.DType != type || tensor.ElementCount != count)
                throw new InputException($"{path}: tensor '{name}' is {tensor.DType} {tensor.ShapeText}; wanted {type} with {count} elements");
            var bytes = new byte[tensor.ByteLength];
            file.Read(tensor, 0, bytes);
            return bytes;
        }
    }

    private static JsonObject Manifest(string path)
    {
        if (!File.Exists(path))
            throw new InputException($"{path}: no such file; wanted a folder that 'mergekit distill export' has written");
        try
        {
            var manifest = JsonNode.Parse(File.ReadAllText(path)) as JsonObject;
            return manifest?["format"] is JsonValue value && value.TryGetValue<string>(out var format) && format == Format ? manifest
                : throw new InputException($"{path}: 'format' is {manifest?["format"]?.ToJsonString() ?? "missing"}; wanted \"{Format}\"");
        }
        catch (JsonException error)
        {
            throw new InputException($"{path}: not valid JSON: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    private static void Check(string path, TeacherData data)
    {
        var answers = 0L;
        for (var i = 0; i < data.Sequences; i++)
        {
            var length = data.Starts[i + 1] - data.Starts[i];
            if (data.Starts[0] != 0 || length < 2 || data.Starts[i + 1] > data.Ids.Length || data.PromptLengths[i] < 1 || data.PromptLengths[i] >= length)
                throw new InputException($"{path}: sequence {i + 1} has {length} tokens, {data.PromptLengths[i]} of them prompt; wanted at least one of each, in order");
            answers += length - data.PromptLengths[i];
        }

        if (answers != data.Positions)
            throw new InputException($"{path}: the sequences have {answers} answer tokens; tail_logprob has {data.Positions}");
        foreach (var (name, ids) in new[] { ("input_ids", data.Ids), ("top_ids", data.TopIds) })
            if (Array.FindIndex(ids, id => id < 0 || id >= data.VocabularySize) is >= 0 and var at)
                throw new InputException($"{path}: tensor '{name}' has the id {ids[at]} at {at}; wanted ids below {data.VocabularySize}");
        foreach (var (name, values) in new[] { ("top_logprobs", data.TopLogProbs), ("tail_logprob", data.TailLogProbs) })
            if (Array.FindIndex(values, value => !(value <= 1e-3f)) is >= 0 and var at)
                throw new InputException($"{path}: tensor '{name}' has {values[at]} at {at}; wanted log-probabilities");
    }
}
