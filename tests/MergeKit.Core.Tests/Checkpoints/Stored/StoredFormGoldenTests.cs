using System.Text;
using System.Text.Json;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Inputs;
using MergeKit.Core.Numerics;
using MergeKit.Core.Tests.Inputs.Adapters;
using static MergeKit.Core.Tests.Checkpoints.Stored.PackedModel;

namespace MergeKit.Core.Tests.Checkpoints.Stored;

/// <summary>Quantised weights and DoRA against values that were made elsewhere: see tests/fixtures/formats/generate.py.</summary>
public sealed class StoredFormGoldenTests : IDisposable
{
    private static readonly JsonElement Golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Fixtures, "formats", "stored-forms.json"))).RootElement;
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Mxfp4_is_what_transformers_makes_of_it()
    {
        var golden = Golden.GetProperty("mxfp4");
        Assert.StartsWith("transformers ", golden.GetProperty("by").GetString(), StringComparison.Ordinal);
        var (shape, blocks, scales) = (Longs(golden, "shape"), Longs(golden, "blocks"), Longs(golden, "scales"));
        var path = Write(_scratch.Join("m"), null, Bytes("e.down_proj_blocks", [.. shape, 16], i => (byte)blocks[i]), Bytes("e.down_proj_scales", shape, i => (byte)scales[i]));
        AssertDecodes(path, "e.down_proj", Longs(golden, "decoded_shape"), Floats(golden, "decoded"), "MXFP4");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Gptq_is_unpacked_by_its_layout(int index)
    {
        var golden = Golden.GetProperty("gptq")[index];
        var (bits, inputs, outputs, size) = (Number(golden, "bits"), Number(golden, "inputs"), Number(golden, "outputs"), Number(golden, "group_size"));
        var path = Write(_scratch.Join("m"), $$"""{"quant_method": "gptq", "bits": {{bits}}, "group_size": {{size}}}""",
            Words("l.qweight", DType.I32, [inputs * bits / 32, outputs], Integers(golden, "qweight")), Words("l.qzeros", DType.I32, [inputs / size, outputs * bits / 32], Integers(golden, "qzeros")),
            Halves("l.scales", [inputs / size, outputs], Array.ConvertAll(Floats(golden, "scales"), value => (Half)value)), Words("l.g_idx", DType.I32, [inputs], Integers(golden, "g_idx")));
        AssertDecodes(path, "l.weight", [outputs, inputs], Floats(golden, "decoded"), $"GPTQ int{bits}");
    }

    [Fact]
    public void Awq_is_unpacked_by_its_layout()
    {
        var golden = Golden.GetProperty("awq");
        var (inputs, outputs, size) = (Number(golden, "inputs"), Number(golden, "outputs"), Number(golden, "group_size"));
        var path = Write(_scratch.Join("m"), $$"""{"quant_method": "awq", "bits": 4, "group_size": {{size}}}""",
            Words("l.qweight", DType.I32, [inputs, outputs / 8], Integers(golden, "qweight")), Words("l.qzeros", DType.I32, [inputs / size, outputs / 8], Integers(golden, "qzeros")),
            Halves("l.scales", [inputs / size, outputs], Array.ConvertAll(Floats(golden, "scales"), value => (Half)value)));
        AssertDecodes(path, "l.weight", [outputs, inputs], Floats(golden, "decoded"), "AWQ int4");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Nf4_is_unpacked_by_its_layout(int index)
    {
        var golden = Golden.GetProperty("nf4")[index];
        var (rows, columns, block, packed) = (Number(golden, "rows"), Number(golden, "columns"), Number(golden, "block"), Longs(golden, "packed"));
        var nested = golden.TryGetProperty("nested_absmax", out _);
        var state = $$"""{"quant_type": "nf4", "blocksize": {{block}}, "dtype": "bfloat16", "shape": [{{rows}}, {{columns}}]{{(nested ? $", \"nested_blocksize\": {golden.GetProperty("nested_block")}, \"nested_offset\": {golden.GetProperty("nested_offset").GetRawText()}" : "")}}}""";
        LoadedTensor[] tensors =
        [
            Bytes("l.weight", [packed.Length, 1], i => (byte)packed[i]), LoadedTensor.Float32("l.weight.quant_map", [16], Floats(golden, "code")),
            Bytes("l.weight.quant_state.bitsandbytes__nf4", [state.Length], i => Encoding.UTF8.GetBytes(state)[i]),
            nested ? Bytes("l.weight.absmax", [rows * columns / block], i => (byte)Longs(golden, "absmax")[i]) : LoadedTensor.Float32("l.weight.absmax", [rows * columns / block], Floats(golden, "absmax")),
            .. nested ? new[] { LoadedTensor.Float32("l.weight.nested_absmax", [1], Floats(golden, "nested_absmax")), LoadedTensor.Float32("l.weight.nested_quant_map", [256], Floats(golden, "nested_code")) } : [],
        ];
        using var checkpoint = Checkpoint.Open(Write(_scratch.Join("m"), null, tensors));
        Near(Floats(golden, "decoded"), checkpoint.ReadAll(checkpoint.Get("l.weight")), 1e-6);
    }

    [Theory]
    [InlineData(0, false, "lora_A.weight", "lora_B.weight")]
    [InlineData(1, true, "lora_A.weight", "lora_B.weight")]
    [InlineData(1, false, "lora_embedding_A", "lora_embedding_B")]
    public void Dora_is_the_papers_formula(int index, bool isFanInFanOut, string nameA, string nameB)
    {
        var golden = Golden.GetProperty("dora")[index];
        var (outputs, inputs, rank) = (Number(golden, "outputs"), Number(golden, "inputs"), Number(golden, "rank"));
        var model = Write(_scratch.Join("model"), null, LoadedTensor.Float32("model.layer.weight", index == 0 ? [outputs, inputs] : [inputs, outputs], Floats(golden, "weight")));
        var adapter = new AdapterFiles().Set("r", rank).Set("lora_alpha", golden.GetProperty("alpha").GetDouble()).Set("use_dora", true).Set("fan_in_fan_out", isFanInFanOut)
            .Add("model.layer." + nameA, [rank, inputs], Floats(golden, "a")).Add("model.layer." + nameB, [outputs, rank], Floats(golden, "b"))
            .Add("model.layer.lora_magnitude_vector", [outputs], Floats(golden, "magnitude")).Write(_scratch.Join("adapter"));
        using var fused = ModelInput.Open($"{model}+{adapter}");
        Near(Floats(golden, "fused"), fused.Checkpoint.ReadAll(fused.Checkpoint.Get("model.layer.weight")), 1e-6);
    }

    private static void Near(float[] wanted, float[] got, double tolerance)
    {
        Assert.Equal(wanted.Length, got.Length);
        for (var i = 0; i < wanted.Length; i++)
            Assert.Equal(wanted[i], got[i], tolerance * Math.Max(1, Math.Abs(wanted[i])));
    }

    private static int Number(JsonElement of, string name) => of.GetProperty(name).GetInt32();

    private static long[] Longs(JsonElement of, string name) => [.. of.GetProperty(name).EnumerateArray().Select(value => value.GetInt64())];

    private static uint[] Integers(JsonElement of, string name) => [.. Longs(of, name).Select(value => unchecked((uint)value))];

    private static float[] Floats(JsonElement of, string name) => [.. of.GetProperty(name).EnumerateArray().Select(value => (float)value.GetDouble())];
}
