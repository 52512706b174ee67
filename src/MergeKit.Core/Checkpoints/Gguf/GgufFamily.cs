using System.Globalization;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>A model family that is read from and written to GGUF files: the names of its tensors on both sides, and what is done to them
/// (llama.cpp, gguf-py/gguf/tensor_mapping.py and convert_hf_to_gguf.py).</summary>
/// <param name="Name">The value of <c>general.architecture</c>.</param>
/// <param name="ClassName">The class in config.json.</param>
/// <param name="ModelType">The model type in config.json.</param>
/// <param name="Inner">Tensors of a layer.</param>
internal sealed partial record GgufFamily(string Name, string ClassName, string ModelType, IReadOnlyList<GgufName> Inner)
{
    private static readonly string[] Suffixes = [".weight", ".bias"];

    /// <summary>What the model's names of layers begin with.</summary>
    public string Layers { get; init; } = "model.layers.";

    /// <summary>Tensors outside the layers.</summary>
    public IReadOnlyList<GgufName> Outer { get; init; } = [new("token_embd", "model.embed_tokens"), new("output_norm", "model.norm"), new("output", "lm_head")];

    /// <summary>Whether llama.cpp rotates neighbours, so that the rows of queries and keys stand interleaved in the file.</summary>
    public bool Interleaves { get; init; }

    /// <summary>Whether llama.cpp wants an output matrix in the file even where the model's is the embedding.</summary>
    public bool NeedsOutput { get; init; }

    /// <summary>The model's tensor of a layer that has gates and ups of all experts in turn, [experts, in, 2 inner], and with <c>_bias</c> their biases; the file has them apart. Null: none.</summary>
    public string? GateUp { get; init; }

    /// <summary>A prefix of names that checkpoints may leave out.</summary>
    public string OptionalPrefix { get; init; } = "";

    /// <summary>The place of a file's tensor: the rule, the layer (null outside of them) and the ending that both names share.</summary>
    public (GgufName Rule, int? Layer, string Suffix)? FromFile(string name)
    {
        if (InLayer().Match(name) is not { Success: true } match)
            return Find(Outer, name, rule => rule.File) is { } outer ? (outer.Rule, null, outer.Suffix) : null;
        return Find(Inner, match.Groups[2].Value, rule => rule.File) is { } inner && int.TryParse(match.Groups[1].Value, CultureInfo.InvariantCulture, out var layer)
            ? (inner.Rule, layer, inner.Suffix) : null;
    }

    /// <summary>The place of a model's tensor: the rule, the file's name, and its number among those that are stacked.</summary>
    public (GgufName Rule, string File, int Part)? FromModel(string name)
    {
        var full = name.StartsWith(Layers, StringComparison.Ordinal) || Find(Outer, name, rule => rule.Model) is not null ? name : OptionalPrefix + name;
        if (!full.StartsWith(Layers, StringComparison.Ordinal))
            return Find(Outer, full, rule => rule.Model) is { } outer ? (outer.Rule, outer.Rule.File + outer.Suffix, 0) : null;
        var rest = full[Layers.Length..];
        var end = rest.IndexOf('.', StringComparison.Ordinal);
        if (end < 1 || !int.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var layer))
            return null;
        rest = rest[(end + 1)..];
        var part = 0;
        var found = Find(Inner, rest, rule => rule.Model);
        if (found is null && Numbered().Match(rest) is { Success: true } number && int.TryParse(number.Groups[1].ValueSpan, CultureInfo.InvariantCulture, out part))
            found = Find(Inner, $"{rest[..number.Index]}.{GgufName.Number}.{rest[(number.Index + number.Length)..]}", rule => rule.Model);
        return found is { } inner ? (inner.Rule, $"blk.{layer}.{inner.Rule.File}{inner.Suffix}", part) : null;
    }

    /// <summary>The model's name of a tensor.</summary>
    public string ModelName(GgufName rule, int? layer, string suffix, int part) =>
        (layer is { } number ? string.Create(CultureInfo.InvariantCulture, $"{Layers}{number}.") : "") + rule.Model.Replace(GgufName.Number, part.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal) + suffix;

    private static (GgufName Rule, string Suffix)? Find(IReadOnlyList<GgufName> rules, string name, Func<GgufName, string> side)
    {
        foreach (var rule in rules)
            if (side(rule) == name)
                return (rule, "");
        foreach (var suffix in Suffixes)
            if (name.EndsWith(suffix, StringComparison.Ordinal) && rules.FirstOrDefault(rule => side(rule) == name[..^suffix.Length]) is { } rule)
                return (rule, suffix);
        return null;
    }

    [GeneratedRegex(@"^blk\.(\d+)\.(.+)$", RegexOptions.CultureInvariant)]
    private static partial Regex InLayer();

    [GeneratedRegex(@"\.(\d+)\.", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
