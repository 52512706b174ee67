using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

/// <summary>The choice of a device, its messages, and the plan of its memory. Needs no GPU.</summary>
public class DeviceTests
{
    private const string Json = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": 97, "max_position_embeddings": 600, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true}
        """;

    [Theory]
    [InlineData("cpu", "cpu")]
    [InlineData("auto", "auto")]
    [InlineData("cuda", "cuda:0")]
    [InlineData("cuda:3", "cuda:3")]
    public void Devices_are_read(string text, string meaning) => Assert.Equal(meaning, DeviceChoice.Parse(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("gpu")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("CUDA:0")]
    public void Other_texts_are_refused(string text) =>
        Assert.Contains("cuda:N", Assert.Throws<InputException>(() => DeviceChoice.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_gpu_that_is_not_there_is_refused_and_auto_takes_the_CPU()
    {
        var (usable, _) = CudaDevice.Discover();
        var config = ModelConfig.Parse("config.json", Json);
        var missing = DeviceChoice.OnCuda(usable.Count == 0 ? 0 : 99);
        var error = Assert.Throws<EnvironmentException>(() => LanguageModel.FromSource("model", config, new RandomWeights(config), 1, missing));
        Assert.Contains("--device cpu", error.Message, StringComparison.Ordinal);
        Assert.StartsWith(missing.ToString(), error.Message, StringComparison.Ordinal);
        using var model = LanguageModel.FromSource("model", config, new RandomWeights(config), 1, DeviceChoice.Auto);
        Assert.Single(model.Score([new(new[] { 1 }, new[] { 2 })])[0].LogProbs);
    }

    [Fact]
    public void The_plan_counts_weights_cache_and_workspace()
    {
        var config = ModelConfig.Parse("config.json", Json);
        var architecture = ArchitectureCatalog.Get(config);
        using var weights = new RandomWeights(config);
        var plan = DevicePlan.For(architecture, config, architecture.Network(config), weights);
        const long Elements = 97 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64 + 2 * 64) + 64;
        Assert.Equal((CudaType.Float32, 4 * Elements, 600L * 2 * 2 * 2 * 16 * 4), (plan.Type, plan.Weights, plan.Cache));
        Assert.InRange(plan.Workspace, 1 << 20, 4L << 30);
        Assert.Null(plan.Shortage(plan.Total, plan.Total));
        Assert.Contains("GiB of weights", plan.Shortage(plan.Total - 1, plan.Total), StringComparison.Ordinal);
        weights.Set("model.embed_tokens.weight", [97, 64], new float[97 * 32], DType.BF16);
        Assert.Equal(CudaType.BFloat16, DevicePlan.For(architecture, config, architecture.Network(config), weights).Type);
    }
}
