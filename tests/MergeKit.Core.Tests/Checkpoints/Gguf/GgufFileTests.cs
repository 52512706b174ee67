using System.Text.Json;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Conversion.Gguf;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Checkpoints.Gguf;

/// <summary>GGUF files: block decoding against llama.cpp's, and models out and in again.</summary>
public sealed class GgufFileTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public static TheoryData<string> Types => ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Types))]
    public void Blocks_decode_as_in_llama_cpp(string name)
    {
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Fixtures, "formats", "gguf-blocks.json")));
        var entry = golden.RootElement.GetProperty("types").GetProperty(name);
        var (blocks, bytes) = (entry.GetProperty("blocks").GetBytesFromBase64(), entry.GetProperty("values").GetBytesFromBase64());
        var wanted = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray();
        var path = _scratch.Join("x.gguf");
        GgufText.Write(path, "llama", [("output_norm.weight", Enum.Parse<GgufType>(name), [wanted.Length], blocks)]);
        using var checkpoint = Checkpoint.Open(path);
        var tensor = checkpoint.Get("model.norm.weight");
        Assert.Equal(name, tensor.Content?.Form);
        var values = checkpoint.ReadAll(tensor);
        for (var i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(values[i] - wanted[i]) <= 2.4e-7f * (Math.Abs(wanted[i]) + 1), $"{name}, element {i}: {values[i]:R}, llama.cpp has {wanted[i]:R}");
        var part = new float[40];
        checkpoint.Read(tensor, 21, part, new byte[part.Length * 8]);
        Assert.Equal(values[21..61], part);
    }

    [Fact]
    public void A_model_written_and_read_again_is_the_same()
    {
        var folder = TrainedModels.Folder("nano", "base");
        var path = _scratch.Join("base.gguf");
        using (var model = ModelInput.Open(folder))
            Assert.Empty(GgufExport.Write(path, model.Config!, model.Checkpoint, model.Folder, GgufOutput.F32, TestContext.Current.CancellationToken));
        using var read = ModelInput.Open(path);
        using var original = ModelInput.Open(folder);
        Assert.Equal(original.Checkpoint.Tensors.Select(tensor => tensor.Name).Order(), read.Checkpoint.Tensors.Select(tensor => tensor.Name).Order());
        foreach (var tensor in original.Checkpoint.Tensors)
            Assert.Equal(original.Checkpoint.ReadAll(tensor), read.Checkpoint.ReadAll(read.Checkpoint.Get(tensor.Name)));
        foreach (var key in new[] { "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "vocab_size", "tie_word_embeddings", "max_position_embeddings", "bos_token_id", "eos_token_id" })
            Assert.Equal(Value(original.Config!, key), Value(read.Config!, key));
    }

    private static object Value(ModelConfig config, string key) =>
        config.Json[key]!.GetValueKind() == JsonValueKind.Number ? config.GetDouble(key)!.Value : config.GetBool(key)!.Value;

    [Fact]
    public void Q8_0_errs_by_half_a_step_at_most()
    {
        var folder = TrainedModels.Folder("nano", "base");
        var path = _scratch.Join("base.gguf");
        using var original = ModelInput.Open(folder);
        GgufExport.Write(path, original.Config!, original.Checkpoint, original.Folder, GgufOutput.Q8, TestContext.Current.CancellationToken);
        using var read = Checkpoint.Open(path);
        foreach (var tensor in read.Tensors.Where(tensor => tensor.Content?.Form == "Q8_0"))
        {
            var (a, b) = (original.Checkpoint.ReadAll(original.Checkpoint.Get(tensor.Name)), read.ReadAll(tensor));
            for (var block = 0; block < a.Length; block += 32)
            {
                var largest = a[block..(block + 32)].Max(MathF.Abs);
                for (var i = block; i < block + 32; i++)
                    Assert.InRange(MathF.Abs(a[i] - b[i]), 0, largest / 127 * 0.5f + largest * 0.0006f);
            }
        }
    }

    [Theory]
    [InlineData("mamba", "'mamba'")]
    [InlineData(null, "name no architecture")]
    public void An_architecture_that_is_not_known_is_named(string? architecture, string seen)
    {
        var path = _scratch.Join("x.gguf");
        GgufText.Write(path, architecture, [("output_norm.weight", GgufType.F32, [2], new byte[8])]);
        Assert.Contains(seen, Assert.Throws<InputException>(() => Checkpoint.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_tensor_and_one_past_the_end_are_named()
    {
        var path = _scratch.Join("x.gguf");
        GgufText.Write(path, "llama", [("strange.weight", GgufType.F32, [2], new byte[8])]);
        Assert.Contains("'strange.weight'", Assert.Throws<InputException>(() => Checkpoint.Open(path)).Message, StringComparison.Ordinal);
        GgufText.Write(path, "llama", [("output_norm.weight", GgufType.F32, [20], new byte[8])]);
        Assert.Contains("does not fit", Assert.Throws<InputException>(() => Checkpoint.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_are_refused_or_read_within_their_bytes()
    {
        var path = _scratch.Join("x.gguf");
        GgufText.Write(path, "llama", [("output_norm.weight", GgufType.Q4_0, [64], new byte[36]), ("token_embd.weight", GgufType.F16, [3, 4], new byte[24])]);
        var (whole, dice, refused, accepted) = (File.ReadAllBytes(path), new SplitMix(8), 0, 0);
        for (var round = 0; round < 3000; round++)
        {
            var damaged = whole.ToArray();
            for (var changes = 1 + dice.Below(3); changes > 0; changes--)
                damaged[dice.Below(damaged.Length)] = (byte)dice.Below(256);
            File.WriteAllBytes(path, dice.Below(4) == 0 ? damaged[..dice.Below(damaged.Length)] : damaged);
            try
            {
                using var checkpoint = Checkpoint.Open(path);
                foreach (var tensor in checkpoint.Tensors)
                    checkpoint.ReadAll(tensor);
                accepted++;
            }
            catch (InputException e)
            {
                Assert.Contains(path, e.Message, StringComparison.Ordinal);
                refused++;
            }
        }

        Assert.True(refused > 500 && accepted > 100, $"{refused} refused, {accepted} accepted");
    }
}
