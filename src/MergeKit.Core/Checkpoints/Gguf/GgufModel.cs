using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>A GGUF file (or its parts) as a checkpoint under the names of the model's config.json, and that configuration.</summary>
internal static partial class GgufModel
{
    /// <summary>The only model file of a folder: the one .gguf, or the first of its parts.</summary>
    /// <exception cref="InputException">There are several models.</exception>
    public static string OnlyFile(string folder)
    {
        var files = Directory.GetFiles(folder, "*.gguf").Order(StringComparer.Ordinal).ToList();
        var first = files.Where(file => PartName().Match(file) is not { Success: true } part || part.Groups[2].Value == "00001").ToList();
        return first.Count == 1 ? first[0] : throw new InputException($"{folder}: has {files.Count} .gguf files ({string.Join(", ", files.Take(4).Select(Path.GetFileName))}); name the one that is meant");
    }

    /// <summary>Opens a model under the names of its config.json.</summary>
    public static Checkpoint Open(string path)
    {
        var headers = Parts(path).Select(GgufHeader.Read).ToList();
        var family = Family(headers[0]);
        var (heads, keyHeads) = Heads(headers[0], family);
        var stored = headers.SelectMany(header => header.Tensors.Select(tensor => (header, tensor))).ToList();
        var raw = new Checkpoint(path, [.. headers.Select(header => CheckpointFile.Of(header.Path))], [.. stored.Select(pair => Raw(pair.header.Path, pair.tensor))], []);
        try
        {
            var (tensors, problems) = (new List<TensorInfo>(), new List<Problem>());
            foreach (var (header, tensor) in stored)
            {
                if (tensor.Name == "rope_freqs.weight")
                    continue; // derived from the configuration's RoPE scaling
                if (GgufFamily.ToModel(tensor.Name) is { } name)
                    tensors.Add(Decoded(raw, header.Path, tensor, name, family.InterleavedHeads(tensor.Name, heads, keyHeads), problems));
                else
                    problems.Add(Problem.Error($"{header.Path}: tensor '{tensor.Name}' has no known place in a model of architecture '{family.Name}'"));
            }

            return problems.Count == 0 ? new Checkpoint(path, raw.Files, tensors, [], raw) : throw new InputException(problems);
        }
        catch
        {
            raw.Dispose();
            throw;
        }
    }

    /// <summary>The configuration that a file's metadata describe.</summary>
    /// <exception cref="InputException">The architecture is not one that can be read, or a key is missing.</exception>
    public static ModelConfig Config(string path)
    {
        var header = GgufHeader.Read(path);
        var family = Family(header);
        long Whole(string key) => (long)(header.Number($"{family.Name}.{key}") ?? throw new InputException($"{path}: lacks the metadata '{family.Name}.{key}'"));
        double? Real(string key) => header.Number($"{family.Name}.{key}");
        if (header.Tensors.Exists(tensor => tensor.Name == "rope_freqs.weight") || header.Value<string>($"{family.Name}.rope.scaling.type") is not (null or "none"))
            throw new InputException($"{path}: scales its RoPE, which its metadata describe only in part: put the model's config.json beside it");
        var (heads, width) = (Whole("attention.head_count"), Whole("embedding_length"));
        var embedding = header.Tensors.FirstOrDefault(tensor => tensor.Name == "token_embd.weight") ?? throw new InputException($"{path}: lacks tensor 'token_embd.weight'");
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(family.ClassName),
            ["model_type"] = family.ModelType,
            ["hidden_size"] = width,
            ["intermediate_size"] = Whole("feed_forward_length"),
            ["num_hidden_layers"] = Whole("block_count"),
            ["num_attention_heads"] = heads,
            ["num_key_value_heads"] = (long)(Real("attention.head_count_kv") ?? heads),
            ["head_dim"] = (long)(Real("attention.key_length") ?? width / Math.Max(1, heads)),
            ["max_position_embeddings"] = Whole("context_length"),
            ["rms_norm_eps"] = Rounded(Real("attention.layer_norm_rms_epsilon") ?? 1e-6),
            ["rope_theta"] = Real("rope.freq_base") ?? 10000,
            ["vocab_size"] = embedding.Shape[0],
            ["hidden_act"] = "silu",
            ["tie_word_embeddings"] = !header.Tensors.Exists(tensor => tensor.Name == "output.weight"),
        };
        foreach (var (key, name) in new[] { ("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id") })
            if (header.Number($"tokenizer.ggml.{name}") is { } id)
                json[key] = (long)id;
        return ModelConfig.Of(path, json);
    }

    /// <summary>Float32 numbers of the metadata in the shortest decimal form: 1e-5, not 9.999999747378752e-06.</summary>
    private static double Rounded(double value) => double.Parse(((float)value).ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static GgufFamily Family(GgufHeader header)
    {
        var name = header.Value<string>("general.architecture") ?? throw new InputException($"{header.Path}: its metadata name no architecture (general.architecture)");
        return GgufFamily.All.FirstOrDefault(family => family.Name == name)
            ?? throw new InputException($"{header.Path}: GGUF files of architecture '{name}' cannot be read; readable: {string.Join(", ", GgufFamily.All.Select(family => family.Name).Distinct())}");
    }

    private static (int Heads, int KeyHeads) Heads(GgufHeader header, GgufFamily family)
    {
        var heads = header.Number($"{family.Name}.attention.head_count") ?? throw new InputException($"{header.Path}: lacks the metadata '{family.Name}.attention.head_count'");
        return ((int)heads, (int)(header.Number($"{family.Name}.attention.head_count_kv") ?? heads));
    }

    private static List<string> Parts(string path)
    {
        if (PartName().Match(path) is not { Success: true } match)
            return [path];
        var count = int.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture);
        var parts = Enumerable.Range(1, count).Select(i => $"{match.Groups[1].Value}-{i:D5}-of-{match.Groups[3].Value}.gguf").ToList();
        return parts.Find(part => !File.Exists(part)) is { } missing ? throw new InputException($"{path}: its part {missing} is missing") : parts;
    }

    /// <summary>The stored bytes: plain elements as such, quantised ones as bytes.</summary>
    private static TensorInfo Raw(string file, GgufTensor tensor) => tensor.Type.Plain() is { } type
        ? new TensorInfo(tensor.Name, type, tensor.Shape, file, tensor.Offset, tensor.Bytes)
        : new TensorInfo(tensor.Name, DType.U8, [tensor.Bytes], file, tensor.Offset, tensor.Bytes);

    private static TensorInfo Decoded(Checkpoint raw, string file, GgufTensor tensor, string name, int heads, List<Problem> problems)
    {
        var stored = raw.Get(tensor.Name);
        var plain = tensor.Type.Plain() is not null ? stored with { Name = name } : TensorInfo.Made(name, DType.F32, tensor.Shape, file, new GgufContent(raw, stored, tensor.Type));
        if (heads == 0)
            return plain;
        if (tensor.Shape.Count == 0 || tensor.Shape[0] % (2 * heads) != 0)
            problems.Add(Problem.Error($"{file}: tensor '{tensor.Name}' is {TensorInfo.Text(tensor.Shape)}; a multiple of {2 * heads} rows ({heads} heads of two halves) is wanted"));
        return TensorInfo.Made(name, plain.DType, tensor.Shape, file, new InterleavedContent(raw, plain, heads));
    }

    [GeneratedRegex(@"^(.*)-(\d{5})-of-(\d{5})\.gguf$", RegexOptions.CultureInvariant)]
    private static partial Regex PartName();
}
