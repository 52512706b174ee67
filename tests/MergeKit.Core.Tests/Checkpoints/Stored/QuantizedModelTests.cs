using System.Text;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using static MergeKit.Core.Tests.Checkpoints.Stored.PackedModel;

namespace MergeKit.Core.Tests.Checkpoints.Stored;

/// <summary>Each stored form against its definition, element by element: the tests pack known integers themselves.</summary>
public sealed class QuantizedModelTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();
    private readonly SplitMix _dice = new(42);

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("""{"quant_method": "fp8", "weight_block_size": [4, 8]}""", 4, 8)]
    [InlineData(null, 128, 128)]
    public void Fp8_with_block_scales(string? settings, int blockRows, int blockColumns)
    {
        var (rows, columns) = (10, 20);
        var codes = Enumerable.Range(0, rows * columns).Select(_ => (byte)_dice.Below(0x7f)).ToArray();
        var (scaleRows, scaleColumns) = ((rows + blockRows - 1) / blockRows, (columns + blockColumns - 1) / blockColumns);
        var scales = _dice.Array(scaleRows * scaleColumns, 0.5f, 2);
        var path = Write(_scratch.Join("m"), settings, new LoadedTensor("l.weight", DType.F8E4M3, [rows, columns], codes),
            LoadedTensor.Float32("l.weight_scale_inv", [scaleRows, scaleColumns], scales), LoadedTensor.Float32("norm.weight", [2], 1, 2));
        var values = ElementDecoder.Decode(DType.F8E4M3, codes);
        var wanted = values.Select((value, i) => (float)value * scales[i / columns / blockRows * scaleColumns + i % columns / blockColumns]).ToArray();
        AssertDecodes(path, "l.weight", [rows, columns], wanted, "FP8 with block scales");
        using var checkpoint = Checkpoint.Open(path);
        Assert.Equal(["l.weight", "norm.weight"], checkpoint.Tensors.Select(tensor => tensor.Name).Order());
    }

    [Fact]
    public void Fp8_with_one_scale_per_row_and_an_input_scale()
    {
        var codes = Enumerable.Range(0, 12).Select(_ => (byte)_dice.Below(0x7f)).ToArray();
        float[] scales = [0.5f, 3, 0.25f];
        var path = Write(_scratch.Join("m"), null, new LoadedTensor("l.weight", DType.F8E4M3, [3, 4], codes), LoadedTensor.Float32("l.weight_scale", [3, 1], scales), LoadedTensor.Float32("l.input_scale", [1], 9));
        AssertDecodes(path, "l.weight", [3, 4], [.. ElementDecoder.Decode(DType.F8E4M3, codes).Select((value, i) => (float)value * scales[i / 4])], "FP8");
    }

    [Fact]
    public void Int8_with_row_maxima()
    {
        var values = Enumerable.Range(0, 12).Select(_ => (sbyte)(_dice.Below(255) - 127)).ToArray();
        float[] maxima = [1, 2, 5];
        var path = Write(_scratch.Join("m"), null, new LoadedTensor("l.weight", DType.I8, [3, 4], [.. values.Select(value => (byte)value)]),
            LoadedTensor.Float32("l.SCB", [3], maxima), Bytes("l.weight_format", [], _ => 0));
        AssertDecodes(path, "l.weight", [3, 4], [.. values.Select((value, i) => value * (maxima[i / 4] * (1 / 127f)))], "int8 (bitsandbytes)");
    }

    [Fact]
    public void Mxfp4_experts_come_out_as_the_model_uses_them()
    {
        var (experts, outputs, inputs) = (2, 6, 64);
        var codes = Enumerable.Range(0, experts * outputs * inputs).Select(_ => (byte)_dice.Below(16)).ToArray();
        var exponents = Enumerable.Range(0, experts * outputs * inputs / 32).Select(_ => (byte)(110 + _dice.Below(30))).ToArray();
        var path = Write(_scratch.Join("m"), null,
            Bytes("e.gate_up_proj_blocks", [experts, outputs, inputs / 32, 16], i => (byte)(codes[2 * i] | codes[2 * i + 1] << 4)),
            Bytes("e.gate_up_proj_scales", [experts, outputs, inputs / 32], i => exponents[i]));
        var wanted = new float[codes.Length];
        for (var expert = 0; expert < experts; expert++)
            for (var output = 0; output < outputs; output++)
                for (var input = 0; input < inputs; input++)
                {
                    var at = (expert * outputs + output) * inputs + input;
                    wanted[(expert * inputs + input) * outputs + output] = (float)(E2M1(codes[at]) * Math.Pow(2, exponents[at / 32] - 127));
                }

        AssertDecodes(path, "e.gate_up_proj", [experts, inputs, outputs], wanted, "MXFP4");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Nf4_with_plain_and_with_quantised_scales(bool nested)
    {
        long[] shape = [6, 64];
        var codes = Enumerable.Range(0, 384).Select(_ => (byte)_dice.Below(16)).ToArray();
        var (map, absMax) = (_dice.Array(16), _dice.Array(6, 0.1f, 2));
        var (codes8, nestedMap, nestedMax) = (absMax.Select(_ => (byte)_dice.Below(256)).ToArray(), _dice.Array(256), _dice.Array(2, 0.1f, 2));
        var state = $$"""{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [6, 64], "nested_blocksize": 4, "nested_dtype": "float32", "nested_offset": 0.125}""";
        var scales = nested ? Bytes("l.weight.absmax", [6], i => codes8[i]) : LoadedTensor.Float32("l.weight.absmax", [6], absMax);
        LoadedTensor[] tensors =
        [
            Bytes("l.weight", [192, 1], i => (byte)(codes[2 * i] << 4 | codes[2 * i + 1])), scales, LoadedTensor.Float32("l.weight.quant_map", [16], map),
            Bytes("l.weight.quant_state.bitsandbytes__nf4", [state.Length], i => Encoding.UTF8.GetBytes(state)[i]),
            .. nested ? new[] { LoadedTensor.Float32("l.weight.nested_absmax", [2], nestedMax), LoadedTensor.Float32("l.weight.nested_quant_map", [256], nestedMap) } : [],
        ];
        float Scale(int block) => nested ? nestedMap[codes8[block]] * nestedMax[block / 4] + 0.125f : absMax[block];
        AssertDecodes(Write(_scratch.Join("m"), null, tensors), "l.weight", shape, [.. codes.Select((code, i) => map[code] * Scale(i / 64))], "NF4");
    }

    [Theory]
    [InlineData(4, false, "gptq")]
    [InlineData(8, true, "gptq")]
    [InlineData(2, true, "gptq_v2")]
    public void Gptq_with_and_without_an_order_of_its_own(int bits, bool ordered, string format)
    {
        var (inputs, outputs, group) = (32, 16, 8);
        var (integers, zeros) = (Integers(inputs * outputs, bits), Integers(inputs / group * outputs, bits));
        var scales = _dice.Array(inputs / group * outputs, 0.01f, 0.1f).Select(value => (Half)value).ToArray();
        var groups = Enumerable.Range(0, inputs).Select(i => ordered ? (i * 7 + 3) % (inputs / group) : i / group).ToArray();
        LoadedTensor[] tensors =
        [
            Words("l.qweight", DType.I32, [inputs * bits / 32, outputs], Pack(inputs / (32 / bits), outputs, bits, (word, column, place) => integers[(word * (32 / bits) + place) * outputs + column])),
            Words("l.qzeros", DType.I32, [inputs / group, outputs * bits / 32], Pack(inputs / group, outputs * bits / 32, bits, (row, word, place) => zeros[row * outputs + word * (32 / bits) + place])),
            Halves("l.scales", [inputs / group, outputs], scales),
            .. ordered ? new[] { Words("l.g_idx", DType.I32, [inputs], [.. groups.Select(g => (uint)g)]) } : [],
        ];
        var path = Write(_scratch.Join("m"), $$"""{"quant_method": "gptq", "bits": {{bits}}, "group_size": {{group}}, "checkpoint_format": "{{format}}"}""", tensors);
        var offset = format == "gptq" ? 1 : 0;
        AssertDecodes(path, "l.weight", [outputs, inputs],
            Decoded(inputs, outputs, (i, o) => (float)scales[groups[i] * outputs + o] * ((int)integers[i * outputs + o] - (((int)zeros[groups[i] * outputs + o] + offset) & ((1 << bits) - 1)))), $"GPTQ int{bits}");
    }

    [Fact]
    public void Awq()
    {
        var (inputs, outputs, group) = (16, 24, 8);
        int[] order = [0, 2, 4, 6, 1, 3, 5, 7];
        var (integers, zeros) = (Integers(inputs * outputs, 4), Integers(inputs / group * outputs, 4));
        var scales = _dice.Array(inputs / group * outputs, 0.01f, 0.1f).Select(value => (Half)value).ToArray();
        var path = Write(_scratch.Join("m"), """{"quant_method": "awq", "bits": 4, "group_size": 8}""",
            Words("l.qweight", DType.I32, [inputs, outputs / 8], Pack(inputs, outputs / 8, 4, (row, word, place) => integers[row * outputs + word * 8 + order[place]])),
            Words("l.qzeros", DType.I32, [inputs / group, outputs / 8], Pack(inputs / group, outputs / 8, 4, (row, word, place) => zeros[row * outputs + word * 8 + order[place]])),
            Halves("l.scales", [inputs / group, outputs], scales));
        AssertDecodes(path, "l.weight", [outputs, inputs],
            Decoded(inputs, outputs, (i, o) => (float)scales[i / group * outputs + o] * ((int)integers[i * outputs + o] - (int)zeros[i / group * outputs + o])), "AWQ int4");
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        var path = Write(_scratch.Join("m"), """{"quant_method": "gptq", "bits": 3}""",
            Words("a.qweight", DType.I32, [4, 8], new uint[32]), Words("a.qzeros", DType.I32, [1, 1], new uint[1]), Halves("a.scales", [1, 8], new Half[8]),
            Words("b.qweight", DType.I32, [4, 8], new uint[32]),
            new LoadedTensor("c.weight", DType.F8E4M3, [4, 4], new byte[16]), LoadedTensor.Float32("c.weight_scale_inv", [3], 1, 2, 3));
        var problems = Assert.Throws<InputException>(() => Checkpoint.Open(path)).Problems.Select(problem => problem.Message).ToList();
        Assert.Contains(problems, message => message.Contains("3 bits", StringComparison.Ordinal));
        Assert.Contains(problems, message => message.Contains("'b.qzeros'", StringComparison.Ordinal));
        Assert.Contains(problems, message => message.Contains("'c.weight_scale_inv'", StringComparison.Ordinal));
    }

    [Fact]
    public void A_group_out_of_range_is_refused()
    {
        var path = Write(_scratch.Join("m"), """{"quant_method": "gptq", "bits": 4}""",
            Words("a.qweight", DType.I32, [1, 8], new uint[8]), Words("a.qzeros", DType.I32, [1, 1], new uint[1]), Halves("a.scales", [1, 8], new Half[8]), Words("a.g_idx", DType.I32, [8], [0, 0, 0, 0, 0, 0, 0, 5]));
        Assert.Contains("group 5", Assert.Throws<InputException>(() => Checkpoint.Open(path)).Message, StringComparison.Ordinal);
    }

    private uint[] Integers(int count, int bits) => [.. Enumerable.Range(0, count).Select(_ => (uint)_dice.Below(1 << bits))];

    private static uint[] Pack(int rows, int columns, int bits, Func<int, int, int, uint> value)
    {
        var words = new uint[rows * columns];
        for (var row = 0; row < rows; row++)
            for (var column = 0; column < columns; column++)
                for (var place = 0; place < 32 / bits; place++)
                    words[row * columns + column] |= value(row, column, place) << (place * bits);
        return words;
    }

    private static float[] Decoded(int inputs, int outputs, Func<int, int, float> value) =>
        [.. Enumerable.Range(0, inputs * outputs).Select(at => value(at % inputs, at / inputs))];

    /// <summary>A 4-bit float from its bits: sign, two of exponent with bias 1, one of mantissa.</summary>
    private static double E2M1(int code)
    {
        var (exponent, mantissa) = ((code >> 1) & 3, code & 1);
        var value = exponent == 0 ? mantissa * 0.5 : (1 + mantissa * 0.5) * Math.Pow(2, exponent - 1);
        return (code & 8) != 0 ? -value : value;
    }
}
