using System.Text.RegularExpressions;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>The model families that are read from and written to GGUF files, and their tensors' names on both sides.</summary>
/// <param name="Name">The value of <c>general.architecture</c>.</param>
/// <param name="ClassName">The class in config.json.</param>
/// <param name="ModelType">The model type in config.json.</param>
/// <param name="Interleaves">Whether the rows of queries and keys stand in the file's interleaved order.</param>
internal sealed partial record GgufFamily(string Name, string ClassName, string ModelType, bool Interleaves)
{
    /// <summary>All of them; several classes may share a name, the first is meant when a file is read.</summary>
    public static IReadOnlyList<GgufFamily> All { get; } =
    [
        new("llama", "LlamaForCausalLM", "llama", true), new("llama", "MistralForCausalLM", "mistral", true),
        new("qwen2", "Qwen2ForCausalLM", "qwen2", false), new("qwen3", "Qwen3ForCausalLM", "qwen3", false),
    ];

    private static readonly (string Gguf, string Model)[] Outer =
        [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

    private static readonly (string Gguf, string Model)[] Inner =
    [
        ("attn_norm", "input_layernorm"), ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"), ("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm"), ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"),
    ];

    /// <summary>The model's name of a file's tensor; null where it has none.</summary>
    public static string? ToModel(string name) => InLayer().Match(name) is { Success: true } match
        ? Find(Inner, match.Groups[2].Value, fromGguf: true) is { } part ? $"model.layers.{match.Groups[1].Value}.{part}.{match.Groups[3].Value}" : null
        : Outside(name, Outer, fromGguf: true);

    /// <summary>The file's name of a model's tensor; null where it has none.</summary>
    public static string? ToFile(string name) => InModelLayer().Match(name) is { Success: true } match
        ? Find(Inner, match.Groups[2].Value, fromGguf: false) is { } part ? $"blk.{match.Groups[1].Value}.{part}.{match.Groups[3].Value}" : null
        : Outside(name, Outer, fromGguf: false);

    /// <summary>Heads whose halves are interleaved in a tensor of the file: those of queries or keys; 0 for all other tensors.</summary>
    public int InterleavedHeads(string fileName, int heads, int keyHeads) => !Interleaves || InLayer().Match(fileName) is not { Success: true } match ? 0
        : match.Groups[2].Value switch { "attn_q" => heads, "attn_k" => keyHeads, _ => 0 };

    private static string? Outside(string name, (string Gguf, string Model)[] table, bool fromGguf)
    {
        var at = name.LastIndexOf('.');
        return at > 0 && Find(table, name[..at], fromGguf) is { } part ? part + name[at..] : null;
    }

    private static string? Find((string Gguf, string Model)[] table, string name, bool fromGguf)
    {
        foreach (var (gguf, model) in table)
            if ((fromGguf ? gguf : model) == name)
                return fromGguf ? model : gguf;
        return null;
    }

    [GeneratedRegex(@"^blk\.(\d+)\.(\w+)\.(weight|bias)$", RegexOptions.CultureInvariant)]
    private static partial Regex InLayer();

    [GeneratedRegex(@"^model\.layers\.(\d+)\.(.+)\.(weight|bias)$", RegexOptions.CultureInvariant)]
    private static partial Regex InModelLayer();
}
