using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Element types that matrices can be written in; vectors are always float32.</summary>
public enum GgufOutput
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,

    /// <summary>Q8_0: blocks of 32 8-bit integers with a 16-bit scale; the error is at most 1/254 of a block's largest magnitude, and the scale's rounding.</summary>
    Q8,
}

/// <summary>A model as one GGUF file that llama.cpp opens.</summary>
public static class GgufExport
{
    /// <summary>Writes the file.</summary>
    /// <param name="path">The file to make.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="checkpoint">Its tensors.</param>
    /// <param name="folder">Where tokenizer.json and tokenizer_config.json lie.</param>
    /// <param name="output">Type of the matrices.</param>
    /// <param name="cancellation">Stops; nothing is left.</param>
    /// <returns>What was odd but usable.</returns>
    /// <exception cref="InputException">The architecture, its RoPE or its tokenizer cannot be expressed; lists everything found.</exception>
    public static IReadOnlyList<Problem> Write(string path, ModelConfig config, Checkpoint checkpoint, string folder, GgufOutput output, CancellationToken cancellation)
    {
        var family = GgufFamily.All.FirstOrDefault(family => family.ClassName == config.Architecture)
            ?? throw new InputException($"{config.File}: '{config.Architecture}' cannot be written to GGUF; possible: {string.Join(", ", GgufFamily.All.Select(family => family.ClassName))}");
        var problems = new List<Problem>();
        var items = Items(config, checkpoint, family, output, problems);
        var embedding = items.Find(item => item.Name == "token_embd.weight") ?? throw new InputException($"{checkpoint.Path}: has no embedding 'model.embed_tokens.weight'");
        if (Frequencies(config) is { } factors)
            items.Add(new GgufWriter.Item("rope_freqs.weight", GgufType.F32, [factors.Length], (start, values, count) => factors.AsSpan((int)start, count).CopyTo(values)));
        var tokenizer = Tokenizer(folder, checked((int)embedding.Shape[0]), problems);
        List<(string, object)> metadata = [.. Metadata(config, family, output, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoint.Path))), (uint)embedding.Shape[0])];
        metadata.AddRange(tokenizer?.Metadata() ?? [("tokenizer.ggml.model", "none")]);
        problems.AddRange(tokenizer?.Problems ?? []);
        if (problems.Exists(problem => problem.Severity == Severity.Error))
            throw new InputException(problems);
        GgufWriter.Write(path, metadata, items, cancellation);
        return problems;
    }

    private static List<GgufWriter.Item> Items(ModelConfig config, Checkpoint checkpoint, GgufFamily family, GgufOutput output, List<Problem> problems)
    {
        var heads = (int)config.RequireInt("num_attention_heads");
        var keyHeads = (int)(config.GetInt("num_key_value_heads") ?? heads);
        var items = new List<GgufWriter.Item>();
        foreach (var tensor in checkpoint.Tensors)
        {
            if (tensor.Name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
                continue;
            if (GgufFamily.ToFile(tensor.Name) is not { } name)
            {
                problems.Add(Problem.Error($"{checkpoint.Path}: tensor '{tensor.Name}' has no name in a GGUF file of architecture '{family.Name}'"));
                continue;
            }

            var type = tensor.Shape.Count < 2 ? GgufType.F32 : TypeOf(output, tensor.Shape[^1], name, problems);
            var interleaved = family.InterleavedHeads(name, heads, keyHeads);
            items.Add(new GgufWriter.Item(name, type, tensor.Shape, interleaved == 0 ? Plain(checkpoint, tensor) : Interleaved(checkpoint, tensor, interleaved)));
        }

        return items;
    }

    private static GgufType TypeOf(GgufOutput output, long columns, string name, List<Problem> problems)
    {
        var type = output switch { GgufOutput.F32 => GgufType.F32, GgufOutput.F16 => GgufType.F16, GgufOutput.BF16 => GgufType.BF16, _ => GgufType.Q8_0 };
        if (columns % type.Block()!.Value.Elements == 0)
            return type;
        problems.Add(Problem.Warning($"tensor '{name}' has rows of {columns} elements, no multiple of {type.Block()!.Value.Elements}: written as F16"));
        return GgufType.F16;
    }

    private static Action<long, float[], int> Plain(Checkpoint checkpoint, TensorInfo tensor) => (start, values, count) =>
        checkpoint.Read(tensor, start, values.AsSpan(0, count), new byte[count * sizeof(double)]);

    /// <summary>Row (head, j, half) of the file is row (head, half, j) of the model.</summary>
    private static Action<long, float[], int> Interleaved(Checkpoint checkpoint, TensorInfo tensor, int heads)
    {
        var (rows, columns) = (tensor.Shape[0] / heads, tensor.Shape.Count == 1 ? 1 : tensor.Shape[1]);
        return (start, values, count) =>
        {
            var scratch = new byte[columns * sizeof(double)];
            for (var done = 0; done < count;)
            {
                var (row, column) = Math.DivRem(start + done, columns);
                var part = values.AsSpan(done, (int)Math.Min(columns - column, count - done));
                var (head, within) = Math.DivRem(row, rows);
                checkpoint.Read(tensor, (head * rows + within % 2 * (rows / 2) + within / 2) * columns + column, part, scratch);
                done += part.Length;
            }
        };
    }

    private static IEnumerable<(string, object)> Metadata(ModelConfig config, GgufFamily family, GgufOutput output, string name, uint vocabulary)
    {
        var heads = config.RequireInt("num_attention_heads");
        var headSize = (uint)(config.GetInt("head_dim") ?? config.RequireInt("hidden_size") / heads);
        yield return ("general.architecture", family.Name);
        yield return ("general.name", name);
        yield return ("general.file_type", output switch { GgufOutput.F32 => 0u, GgufOutput.F16 => 1u, GgufOutput.Q8 => 7u, _ => 32u });
        yield return ($"{family.Name}.vocab_size", vocabulary);
        yield return ($"{family.Name}.context_length", (uint)(config.GetInt("max_position_embeddings") ?? 2048));
        yield return ($"{family.Name}.embedding_length", (uint)config.RequireInt("hidden_size"));
        yield return ($"{family.Name}.block_count", (uint)config.RequireInt("num_hidden_layers"));
        yield return ($"{family.Name}.feed_forward_length", (uint)config.RequireInt("intermediate_size"));
        yield return ($"{family.Name}.attention.head_count", (uint)heads);
        yield return ($"{family.Name}.attention.head_count_kv", (uint)(config.GetInt("num_key_value_heads") ?? heads));
        yield return ($"{family.Name}.attention.key_length", headSize);
        yield return ($"{family.Name}.attention.value_length", headSize);
        yield return ($"{family.Name}.attention.layer_norm_rms_epsilon", (float)(config.GetDouble("rms_norm_eps") ?? 1e-6));
        yield return ($"{family.Name}.rope.dimension_count", headSize);
        yield return ($"{family.Name}.rope.freq_base", (float)RopeBase(config));
        if (Scaling(config) is { } scaling && ScalingType(scaling) == "linear")
        {
            yield return ($"{family.Name}.rope.scaling.type", "linear");
            yield return ($"{family.Name}.rope.scaling.factor", (float)(scaling["factor"]?.GetValue<double>() ?? 1));
        }
    }

    private static double RopeBase(ModelConfig config) =>
        config.GetDouble("rope_theta") ?? (config.Json["rope_parameters"] as JsonObject)?["rope_theta"]?.GetValue<double>() ?? 10000;

    private static JsonObject? Scaling(ModelConfig config) =>
        config.Json["rope_scaling"] as JsonObject ?? (config.Json["rope_parameters"] as JsonObject is { } parameters && ScalingType(parameters) is not (null or "default") ? parameters : null);

    private static string? ScalingType(JsonObject scaling) => (scaling["rope_type"] ?? scaling["type"])?.ToString();

    /// <summary>Llama 3's scaling as divisors of the frequencies; null without scaling or with the linear one.</summary>
    private static float[]? Frequencies(ModelConfig config)
    {
        if (Scaling(config) is not { } scaling || ScalingType(scaling) is "linear" or "default")
            return null;
        if (ScalingType(scaling) != "llama3")
            throw new InputException($"{config.File}: RoPE scaling of type '{ScalingType(scaling)}' cannot be written to GGUF; linear and llama3 can");
        double Number(string key) => scaling[key]?.GetValue<double>() ?? throw new InputException($"{config.File}: rope_scaling lacks '{key}'");
        var (factor, low, high, original) = (Number("factor"), Number("low_freq_factor"), Number("high_freq_factor"), Number("original_max_position_embeddings"));
        var size = (int)(config.GetInt("head_dim") ?? config.RequireInt("hidden_size") / config.RequireInt("num_attention_heads"));
        return [.. Enumerable.Range(0, size / 2).Select(i =>
        {
            var wavelength = 2 * Math.PI * Math.Pow(RopeBase(config), 2.0 * i / size);
            var smooth = Math.Clamp((original / wavelength - low) / (high - low), 0, 1);
            return (float)(1 / ((1 - smooth) / factor + smooth));
        })];
    }

    private static GgufTokenizer? Tokenizer(string folder, int rows, List<Problem> problems)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
        {
            problems.Add(Problem.Warning($"{folder}: has no tokenizer.json, so the file gets no tokenizer: llama.cpp can run it on token ids only"));
            return null;
        }

        var settings = Path.Combine(folder, "tokenizer_config.json");
        return new GgufTokenizer(path, ModelConfig.Parse(path, File.ReadAllText(path)).Json, File.Exists(settings) ? ModelConfig.Parse(settings, File.ReadAllText(settings)).Json : null, rows);
    }
}
