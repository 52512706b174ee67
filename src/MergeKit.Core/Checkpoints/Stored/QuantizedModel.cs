using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>Recognises quantised weights by the tensors beside them and presents each group as the one tensor that it means, in float32 and decoded
/// when it is read. What belongs to a form but does not fit it is an error that names the tensor.</summary>
internal sealed class QuantizedModel
{
    private const string FourBitMark = ".quant_state.bitsandbytes__";
    private readonly Checkpoint _stored;
    private readonly JsonObject? _settings;
    private readonly Dictionary<string, TensorInfo> _made = new(StringComparer.Ordinal);
    private readonly HashSet<string> _consumed = new(StringComparer.Ordinal);
    private readonly List<Problem> _problems = [];

    private QuantizedModel(Checkpoint stored) => (_stored, _settings) = (stored, Settings(stored.Path));

    /// <summary>The checkpoint itself where nothing is quantised; else one that decodes, and owns it.</summary>
    /// <exception cref="InputException">Parts are missing or do not fit; lists everything found.</exception>
    public static Checkpoint Decode(Checkpoint stored)
    {
        try
        {
            return new QuantizedModel(stored).Decode();
        }
        catch
        {
            stored.Dispose();
            throw;
        }
    }

    private Checkpoint Decode()
    {
        foreach (var tensor in _stored.Tensors)
        {
            try
            {
                Recognise(tensor);
            }
            catch (InputException e)
            {
                _problems.AddRange(e.Problems);
            }
            catch (OverflowException)
            {
                _problems.Add(Problem.Error($"{_stored.Path}: tensor '{tensor.Name}' {tensor.ShapeText} is larger than can be decoded"));
            }
        }

        if (_problems.Count > 0)
            throw new InputException(_problems);
        if (_made.Count == 0)
            return _stored;
        var tensors = _stored.Tensors.Where(tensor => !_consumed.Contains(tensor.Name) && !_made.ContainsKey(tensor.Name)).Concat(_made.Values);
        return new Checkpoint(_stored.Path, _stored.Files, [.. tensors], _stored.Warnings, _stored);
    }

    private void Recognise(TensorInfo tensor)
    {
        var name = tensor.Name;
        if (name.EndsWith("_blocks", StringComparison.Ordinal) && Beside(name, "_blocks", "_scales") is { } scales)
            Mxfp4(tensor, scales);
        else if (name.Contains(FourBitMark, StringComparison.Ordinal))
            FourBit(tensor, name[..name.IndexOf(FourBitMark, StringComparison.Ordinal)]);
        else if (name.EndsWith(".SCB", StringComparison.Ordinal) && Beside(name, "SCB", "weight") is { DType: DType.I8 } integers)
            Scaled(integers, tensor, (1, integers.Shape[^1]), 1 / 127f, "int8 (bitsandbytes)", Stem(name, "SCB") + "weight_format");
        else if (name.EndsWith("_scale_inv", StringComparison.Ordinal) && _stored.Find(name[..^"_scale_inv".Length]) is { } inverse && IsFloat8(inverse))
            Scaled(inverse, tensor, BlockShape(inverse, tensor), 1, "FP8 with block scales");
        else if (name.EndsWith("_scale", StringComparison.Ordinal) && _stored.Find(name[..^"_scale".Length]) is { } narrow && IsFloat8(narrow))
            Scaled(narrow, tensor, BlockShape(narrow, tensor), 1, "FP8", Stem(name, "weight_scale") + "input_scale");
        else if (name.EndsWith(".qweight", StringComparison.Ordinal))
            PackedIntegers(tensor, Stem(name, "qweight"));
    }

    private static bool IsFloat8(TensorInfo tensor) => tensor.DType is DType.F8E4M3 or DType.F8E5M2;

    private static string Stem(string name, string end) => name[..^end.Length];

    private TensorInfo? Beside(string name, string end, string other) => _stored.Find(Stem(name, end) + other);

    private TensorInfo Require(string name, string owner) =>
        _stored.Find(name) ?? throw new InputException($"{_stored.Path}: lacks tensor '{name}', which belongs to the quantised '{owner}'");

    private void Make(string name, IReadOnlyList<long> shape, string file, ITensorContent content, params string[] consumed)
    {
        _made[name] = TensorInfo.Made(name, DType.F32, shape, file, content);
        _consumed.UnionWith(consumed);
    }

    private void Mxfp4(TensorInfo blocks, TensorInfo scales)
    {
        var name = Stem(blocks.Name, "_blocks");
        if (blocks.Shape.Count != 4)
            throw new InputException($"{_stored.Path}: tensor '{blocks.Name}' is {blocks.ShapeText}; MXFP4 blocks [experts, out, in/32, 16] are wanted");
        var (experts, outputs, groups) = (blocks.Shape[0], blocks.Shape[1], blocks.Shape[2]);
        _stored.Require(blocks, [DType.U8], experts, outputs, groups, Mxfp4Content.Block / 2);
        _stored.Require(scales, [DType.U8], experts, outputs, groups);
        Make(name, [experts, checked(groups * Mxfp4Content.Block), outputs], blocks.File, new Mxfp4Content(_stored, blocks, scales), blocks.Name, scales.Name);
    }

    private void Scaled(TensorInfo weight, TensorInfo scale, (long Rows, long Columns) blocks, float factor, string form, params string[] consumed)
    {
        if (weight.Shape.Count != 2)
            throw new InputException($"{_stored.Path}: tensor '{weight.Name}' is {weight.ShapeText}; only matrices can have scales");
        var wanted = (weight.Shape[0] + blocks.Rows - 1) / blocks.Rows * ((weight.Shape[1] + blocks.Columns - 1) / blocks.Columns);
        if (!scale.DType.IsFloat() || scale.ElementCount != wanted)
            throw new InputException($"{_stored.Path}: tensor '{scale.Name}' is {scale.DType} {scale.ShapeText}; {wanted} floating-point scales of '{weight.Name}' {weight.ShapeText} are wanted");
        Make(weight.Name, weight.Shape, weight.File, new ScaledContent(_stored, weight, scale, blocks, factor, form), [scale.Name, .. consumed]);
    }

    /// <summary>Rows and columns that share a scale: the whole tensor, a row, or blocks of the configured size.</summary>
    private (long, long) BlockShape(TensorInfo weight, TensorInfo scale)
    {
        if (scale.ElementCount == 1 || weight.Shape.Count != 2)
            return (weight.Shape.DefaultIfEmpty(1).First(), weight.Shape.DefaultIfEmpty(1).Last());
        if (scale.ElementCount == weight.Shape[0])
            return (1, weight.Shape[1]);
        return _settings?["weight_block_size"] is JsonArray { Count: 2 } sizes && sizes[0] is JsonValue a && sizes[1] is JsonValue b && a.TryGetValue<long>(out var rows) && b.TryGetValue<long>(out var columns) && rows > 0 && columns > 0
            ? (rows, columns) : (128, 128);
    }

    private void FourBit(TensorInfo state, string weight)
    {
        var bytes = new byte[Math.Min(state.ByteLength, 1 << 16)];
        _stored.Read(state, 0, bytes);
        var form = state.Name[(state.Name.IndexOf(FourBitMark, StringComparison.Ordinal) + FourBitMark.Length)..].ToUpperInvariant();
        JsonObject json;
        try
        {
            json = JsonNode.Parse(bytes) as JsonObject ?? throw new JsonException("it is not an object");
        }
        catch (JsonException e)
        {
            throw new InputException($"{_stored.Path}: tensor '{state.Name}' does not hold the JSON that bitsandbytes writes: {e.Message}", e);
        }

        var shape = json["shape"] is JsonArray extents ? extents.Select(extent => (long)Number(json, state, extent)).ToArray() : throw new InputException($"{_stored.Path}: '{state.Name}' states no shape");
        var (count, block) = (shape.Aggregate(1L, (product, extent) => checked(product * extent)), (int)Number(json, state, json["blocksize"]));
        var packed = Require(weight, weight);
        if (block < 1 || packed.DType != DType.U8 || packed.ElementCount != (count + 1) / 2)
            throw new InputException($"{_stored.Path}: tensor '{weight}' is {packed.DType} {packed.ShapeText}; {count} elements of 4 bits ({TensorInfo.Text(shape)}) in blocks of {block} are wanted");
        var (absMax, code, blocks) = (Require(weight + ".absmax", weight), Require(weight + ".quant_map", weight), (count + block - 1) / block);
        var isNested = absMax.DType == DType.U8;
        _stored.Require(packed, [DType.U8], [.. packed.Shape]);
        _stored.Require(absMax, [isNested ? DType.U8 : DType.F32], blocks);
        _stored.Require(code, [DType.F32], 16);
        (TensorInfo, TensorInfo)? nested = null;
        var nestedBlock = isNested ? (int)Number(json, state, json["nested_blocksize"]) : 1;
        if (isNested)
        {
            nested = (Require(weight + ".nested_absmax", weight), Require(weight + ".nested_quant_map", weight));
            _stored.Require(nested.Value.Item1, [DType.F32], (blocks + nestedBlock - 1) / Math.Max(1, nestedBlock));
            _stored.Require(nested.Value.Item2, [DType.F32], 256);
        }

        var content = new FourBitContent(_stored, new FourBitParts(packed, absMax, code, nested), block, nestedBlock, isNested ? (float)Number(json, state, json["nested_offset"]) : 0, form);
        Make(weight, shape, packed.File, content, [state.Name, absMax.Name, code.Name, weight + ".nested_absmax", weight + ".nested_quant_map"]);
    }

    private double Number(JsonObject json, TensorInfo state, JsonNode? node) =>
        node is JsonValue value && value.TryGetValue<double>(out var number) ? number : throw new InputException($"{_stored.Path}: '{state.Name}' lacks a number in {json.ToJsonString()}");

    private void PackedIntegers(TensorInfo weights, string stem)
    {
        var (zeros, scales, groups) = (Require(stem + "qzeros", weights.Name), Require(stem + "scales", weights.Name), _stored.Find(stem + "g_idx"));
        var method = _settings?["quant_method"]?.ToString();
        if (weights.Shape.Count != 2 || scales.Shape.Count != 2)
            throw new InputException($"{_stored.Path}: tensor '{weights.Name}' is {weights.ShapeText} and its scales {scales.ShapeText}; matrices are wanted");
        var packing = method == "awq" || (method is null && groups is null && weights.Shape[1] != scales.Shape[1]) ? IntegerPacking.Awq : IntegerPacking.Gptq;
        var bits = Setting("bits") ?? 4;
        if (packing == IntegerPacking.Awq ? bits != 4 : bits is not (2 or 4 or 8))
            throw new InputException($"{_stored.Path}: {packing} weights of {bits} bits are not supported; {(packing == IntegerPacking.Awq ? "4" : "2, 4 and 8")} are");
        var (perWord, outputs) = (32 / (int)bits, scales.Shape[1]);
        var inputs = packing == IntegerPacking.Gptq ? checked(weights.Shape[0] * perWord) : weights.Shape[0];
        var size = Setting("group_size") is > 0 and var given ? given : scales.Shape[0] == 1 ? inputs : (inputs + scales.Shape[0] - 1) / scales.Shape[0];
        _stored.Require(weights, [DType.I32, DType.U32], packing == IntegerPacking.Gptq ? [inputs / perWord, outputs] : [inputs, outputs / perWord]);
        _stored.Require(scales, [DType.F16, DType.BF16, DType.F32], (inputs + size - 1) / size, outputs);
        _stored.Require(zeros, [DType.I32, DType.U32], scales.Shape[0], outputs / perWord);
        if (groups is not null)
            RequireGroups(groups, inputs, scales.Shape[0]);
        var offset = packing == IntegerPacking.Gptq && _settings?["checkpoint_format"]?.ToString() != "gptq_v2" ? 1 : 0;
        var content = new GroupedIntegerContent(_stored, new PackedLinear(weights, zeros, scales, groups), packing, (int)bits, (int)size, offset);
        Make(stem + "weight", [outputs, inputs], weights.File, content, weights.Name, zeros.Name, scales.Name, stem + "g_idx");
    }

    private void RequireGroups(TensorInfo groups, long inputs, long count)
    {
        _stored.Require(groups, [DType.I32], inputs);
        foreach (var group in _stored.Elements<int>(groups))
            if (group < 0 || group >= count)
                throw new InputException($"{_stored.Path}: tensor '{groups.Name}' names group {group}, but there are scales for {count} groups");
    }

    private long? Setting(string key) => _settings?[key] is JsonValue value && value.TryGetValue<long>(out var number) ? number : null;

    private static JsonObject? Settings(string path)
    {
        var folder = File.Exists(path) ? Path.GetDirectoryName(path) ?? "." : path;
        return File.Exists(Path.Combine(folder, "config.json")) ? ModelConfig.Read(folder).Json["quantization_config"] as JsonObject : null;
    }
}
