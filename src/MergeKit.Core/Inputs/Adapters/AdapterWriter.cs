using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>One module of an adapter to be written, already scaled: its delta is B A (scale 1).</summary>
/// <param name="Name">The module's name in the model.</param>
/// <param name="A">[rank, in].</param>
/// <param name="B">[out, rank].</param>
/// <param name="Rank">The factors' common extent.</param>
/// <param name="Inputs">Columns of A.</param>
/// <param name="Outputs">Rows of B.</param>
/// <param name="IsEmbedding">Whether it is an embedding: A is then [rank, vocabulary] and B [hidden, rank].</param>
/// <param name="Type">Type of the stored elements.</param>
public sealed record FactoredModule(string Name, float[] A, float[] B, int Rank, int Inputs, int Outputs, bool IsEmbedding, DType Type);

/// <summary>Writes an adapter in PEFT's format.</summary>
public static class AdapterWriter
{
    private const string Prefix = "base_model.model.";

    /// <summary>Writes both files into a folder.</summary>
    /// <param name="folder">The folder under construction.</param>
    /// <param name="baseModel">The model it goes with.</param>
    /// <param name="modules">Its modules.</param>
    /// <param name="whole">Tensors that stand in place of the model's, under the model's names.</param>
    /// <param name="others">Names of the model's linear modules and embeddings that are not among <paramref name="modules"/>.</param>
    /// <param name="fanInFanOut">Whether the adapted weights are stored [in, out].</param>
    public static void Write(
        OutputFolder folder, string? baseModel, IReadOnlyList<FactoredModule> modules, IReadOnlyList<MemoryTensor> whole, IReadOnlyCollection<string> others, bool fanInFanOut)
    {
        var tensors = modules.SelectMany(Factors).Concat(whole.Select(tensor => tensor with { Name = Prefix + tensor.Name })).OrderBy(tensor => tensor.Name, StringComparer.Ordinal);
        SafetensorsFile.Write(folder.PathOf("adapter_model.safetensors"), [.. tensors]);
        folder.WriteText(AdapterConfig.FileName, Config(baseModel, modules, whole, others, fanInFanOut).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
    }

    private static IEnumerable<MemoryTensor> Factors(FactoredModule module)
    {
        var (a, b) = module.IsEmbedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight");
        yield return Encoded($"{Prefix}{module.Name}.{a}", [module.Rank, module.Inputs], module.A, module.Type);
        yield return Encoded($"{Prefix}{module.Name}.{b}", [module.Outputs, module.Rank], module.B, module.Type);
    }

    private static MemoryTensor Encoded(string name, long[] shape, float[] values, DType type)
    {
        var bytes = new byte[checked(values.Length * type.Size())];
        TensorCodec.Encode(type, values, bytes);
        return new MemoryTensor(name, type, shape, bytes);
    }

    private static JsonObject Config(string? baseModel, IReadOnlyList<FactoredModule> modules, IReadOnlyList<MemoryTensor> whole, IReadOnlyCollection<string> others, bool fanInFanOut)
    {
        var rank = modules.Select(module => module.Rank).DefaultIfEmpty(1).Max();
        var elsewhere = others.Select(Last).ToHashSet(StringComparer.Ordinal);
        var targets = modules.Select(module => elsewhere.Contains(Last(module.Name)) ? module.Name : Last(module.Name)).Distinct(StringComparer.Ordinal);
        var saved = whole.Where(tensor => !tensor.Name.EndsWith(".bias", StringComparison.Ordinal)).Select(tensor => Last(Module(tensor.Name))).Distinct(StringComparer.Ordinal).ToList();
        JsonObject Pattern() => new(modules.Where(module => module.Rank != rank).Select(module => KeyValuePair.Create(module.Name, (JsonNode?)module.Rank)));
        return new JsonObject
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = baseModel,
            ["r"] = rank,
            ["lora_alpha"] = rank,
            ["rank_pattern"] = Pattern(),
            ["alpha_pattern"] = Pattern(),
            ["target_modules"] = new JsonArray([.. targets.Select(name => (JsonNode)name)]),
            ["modules_to_save"] = saved.Count == 0 ? null : new JsonArray([.. saved.Select(name => (JsonNode)name)]),
            ["bias"] = whole.Any(tensor => tensor.Name.EndsWith(".bias", StringComparison.Ordinal)) ? "all" : "none",
            ["lora_dropout"] = 0.0,
            ["fan_in_fan_out"] = fanInFanOut,
            ["use_rslora"] = false,
            ["use_dora"] = false,
            ["inference_mode"] = true,
        };
    }

    /// <summary>A tensor's module: its name without the last part.</summary>
    public static string Module(string tensor) => tensor.LastIndexOf('.') is > 0 and var at ? tensor[..at] : tensor;

    /// <summary>The last part of a module's name; a number keeps its parent.</summary>
    private static string Last(string module)
    {
        var at = module.LastIndexOf('.');
        var last = module[(at + 1)..];
        return at > 0 && int.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? module : last;
    }
}
