using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Conversion.Gguf;

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
    /// <exception cref="InputException">The architecture, a fact of it or its tokenizer cannot be expressed; lists everything found.</exception>
    public static IReadOnlyList<Problem> Write(string path, ModelConfig config, Checkpoint checkpoint, string folder, GgufOutput output, CancellationToken cancellation)
    {
        var family = GgufFamilies.All.FirstOrDefault(family => family.ClassName == config.Architecture)
            ?? throw new InputException($"{config.File}: '{config.Architecture}' cannot be written to GGUF; possible: {string.Join(", ", GgufFamilies.All.Select(family => family.ClassName))}");
        var (architecture, problems) = (ArchitectureCatalog.Get(config), new List<Problem>());
        var network = architecture.Network(config);
        var attention = network.Layers[0].Attention;
        var form = new GgufForm(family, attention.Heads, attention.KvHeads, attention.Layout == QkvLayout.GroupedByKvHead);
        var facts = new GgufMetadata(config, network, family, problems);
        facts.Check();
        var items = new GgufTensors(checkpoint, form, output, problems).Items(architecture.IsIgnored, network.Head.Tied ? network.Head.Output.Name + ".weight" : null);
        var embedding = items.Find(item => item.Name == "token_embd.weight") ?? throw new InputException([.. problems, Problem.Error($"{checkpoint.Path}: has no embedding '{network.Embedding.Tokens.Name}'")]);
        items.AddRange(GgufTensors.Rotation(attention.Rope));
        var tokenizer = Tokenizer(folder, checked((int)embedding.Shape[0]), problems);
        List<(string, object)> metadata = [.. General(family, output, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoint.Path)))), .. facts.Values().Select(pair => ($"{family.Name}.{pair.Key}", pair.Value))];
        metadata.AddRange(tokenizer?.Metadata() ?? [("tokenizer.ggml.model", "none")]);
        problems.AddRange(tokenizer?.Problems ?? []);
        if (problems.Exists(problem => problem.Severity == Severity.Error))
            throw new InputException(problems);
        GgufWriter.Write(path, metadata, items, cancellation);
        return problems;
    }

    private static IEnumerable<(string, object)> General(GgufFamily family, GgufOutput output, string name) =>
    [
        ("general.architecture", family.Name), ("general.name", name),
        ("general.file_type", output switch { GgufOutput.F32 => 0u, GgufOutput.F16 => 1u, GgufOutput.Q8 => 7u, _ => 32u }),
    ];

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
