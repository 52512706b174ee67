using System.Globalization;
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
        var form = Form(headers[0]);
        var stored = headers.SelectMany(header => header.Tensors.Select(tensor => (header, tensor))).ToList();
        var raw = new Checkpoint(path, [.. headers.Select(header => CheckpointFile.Of(header.Path))], [.. stored.Select(pair => Raw(pair.header.Path, pair.tensor))], []);
        try
        {
            var (tensors, problems) = (new List<TensorInfo>(), new List<Problem>());
            foreach (var (header, tensor) in stored.Where(pair => !IsDerived(pair.tensor.Name)))
                if (LatentKeys().Match(tensor.Name) is { Success: true } latent)
                    AddLatent(raw, headers[0], header.Path, latent, form, tensors, problems);
                else if (form.Family.GateUp is not null && GateOrUp().Match(tensor.Name) is { Success: true } half)
                    AddGateUp(raw, headers[0], header.Path, half, form, tensors, problems);
                else if (form.Family.FromFile(tensor.Name) is { } place)
                    tensors.AddRange(new GgufDecoder(raw, header.Path, form, problems).Decode(tensor, place.Rule, place.Layer, place.Suffix));
                else
                    problems.Add(Problem.Error($"{header.Path}: tensor '{tensor.Name}' has no known place in a model of architecture '{form.Family.Name}'"));
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
        return ModelConfig.Of(path, new GgufConfig(header, Family(header)).Read());
    }

    /// <summary>The family of a file; where several share its name, what the metadata and tensors say.</summary>
    private static GgufFamily Family(GgufHeader header)
    {
        var name = header.Value<string>("general.architecture") ?? throw new InputException($"{header.Path}: its metadata name no architecture (general.architecture)");
        var named = GgufFamilies.All.Where(family => family.Name == name).ToList();
        if (named.Count == 0)
            throw new InputException($"{header.Path}: GGUF files of architecture '{name}' cannot be read; readable: {GgufFamilies.Names}");
        bool States(string key, double least) => header.Number($"{name}.{key}") is { } value && value >= least;
        var chosen = name switch
        {
            "llama" => named[States("expert_count", 1) ? 2 : States("attention.sliding_window", 1) ? 1 : 0],
            "deepseek2" => named[States("expert_gating_func", 2) ? 1 : 0],
            _ => named[0],
        };
        if (name != "falcon")
            return chosen;
        var twoNorms = header.Tensors.Exists(tensor => tensor.Name == "blk.0.attn_norm_2.weight");
        return chosen with { Inner = [.. chosen.Inner.Where(rule => twoNorms ? rule.Model != "input_layernorm" : rule.Model is not ("ln_mlp" or "ln_attn"))] };
    }

    private static GgufForm Form(GgufHeader header)
    {
        var family = Family(header);
        var heads = header.Number($"{family.Name}.attention.head_count") ?? throw new InputException($"{header.Path}: lacks the metadata '{family.Name}.attention.head_count'");
        var keyHeads = (int)(header.Number($"{family.Name}.attention.head_count_kv") ?? heads);
        return new GgufForm(family, (int)heads, keyHeads, GroupsQkv: keyHeads > 1);
    }

    /// <summary>Tensors that hold what a configuration says.</summary>
    private static bool IsDerived(string name) => name is "rope_freqs.weight" or "rope_factors_long.weight" or "rope_factors_short.weight";

    /// <summary>Latent attention's second matrix, of which newer files have the parts of keys (transposed) and of values apart.</summary>
    private static void AddLatent(Checkpoint raw, GgufHeader header, string file, Match match, GgufForm form, List<TensorInfo> tensors, List<Problem> problems)
    {
        if (match.Groups[2].Value == "v")
            return; // made together with the keys' part
        var name = $"blk.{match.Groups[1].Value}.attn_v_b.weight";
        var decoder = new GgufDecoder(raw, file, form, problems);
        var (keys, values) = (decoder.Plain(match.Value, header), decoder.Plain(name, header));
        if (keys?.Shape is not [var heads, var rank, var plain] || values?.Shape is not [var valueHeads, var width, var valueRank] || heads != valueHeads || rank != valueRank)
            problems.Add(Problem.Error($"{file}: tensors '{match.Value}' and '{name}' do not fit each other; [heads, rank, key width] and [heads, value width, rank] are wanted"));
        else
            tensors.Add(TensorInfo.Made($"{form.Family.Layers}{match.Groups[1].Value}.self_attn.kv_b_proj.weight", DType.F32, [heads * (plain + width), rank], file, new LatentContent(raw, keys, values)));
    }

    /// <summary>Gates and ups of all experts in one tensor, made together with the gates.</summary>
    private static void AddGateUp(Checkpoint raw, GgufHeader header, string file, Match match, GgufForm form, List<TensorInfo> tensors, List<Problem> problems)
    {
        var (layer, kind, isBias) = (match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value == "bias");
        string Name(string half) => $"blk.{layer}.ffn_{half}_exps.{match.Groups[3].Value}";
        var decoder = new GgufDecoder(raw, file, form, problems);
        var (gate, up) = (decoder.Plain(Name("gate"), header), decoder.Plain(Name("up"), header));
        if (gate is null || up is null || !gate.Shape.SequenceEqual(up.Shape) || gate.Shape.Count != (isBias ? 2 : 3))
        {
            problems.Add(Problem.Error($"{file}: tensors '{Name("gate")}' ({gate?.ShapeText ?? "missing"}) and '{Name("up")}' ({up?.ShapeText ?? "missing"}) do not fit each other; two of [experts, {(isBias ? "inner" : "inner, in")}] are wanted"));
            return;
        }

        if (kind == "up")
            return;
        var name = $"{form.Family.Layers}{layer}.{form.Family.GateUp}{(isBias ? "_bias" : "")}";
        Interleaved.Reader Reader(TensorInfo half) => isBias ? (start, values) => raw.Read(half, start, values, new byte[values.Length * sizeof(double)]) : new ExpertsTransposed(raw, half).Read;
        tensors.Add(TensorInfo.Made(name, DType.F32, isBias ? [gate.Shape[0], 2 * gate.Shape[1]] : [gate.Shape[0], gate.Shape[2], 2 * gate.Shape[1]], file,
            new Interleaved(Reader(gate), Reader(up), gate.Content?.Form ?? "gates and ups in turn")));
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

    [GeneratedRegex(@"^blk\.(\d+)\.attn_(k|v)_b\.weight$", RegexOptions.CultureInvariant)]
    private static partial Regex LatentKeys();

    [GeneratedRegex(@"^blk\.(\d+)\.ffn_(gate|up)_exps\.(weight|bias)$", RegexOptions.CultureInvariant)]
    private static partial Regex GateOrUp();

    [GeneratedRegex(@"^(.*)-(\d{5})-of-(\d{5})\.gguf$", RegexOptions.CultureInvariant)]
    private static partial Regex PartName();
}
