using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

public class BadInputTests
{
    private const string Llama = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50, "max_position_embeddings": 12, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "float32", "_name_or_path": "somewhere"}
        """;

    private static ModelConfig Config(string json = Llama) => ModelConfig.Parse("config.json", json);

    private static LanguageModel Open(string json = Llama, Action<RandomWeights>? change = null)
    {
        var weights = new RandomWeights(Config());
        change?.Invoke(weights);
        return LanguageModel.FromSource("model", Config(json), weights, 1);
    }

    private static string Message(Func<object?> action) => Assert.Throws<InputException>(action).Message;

    [Theory]
    [InlineData("\"silu\"", "\"swoosh\"", "hidden_act", "swoosh")]
    [InlineData("\"rope_theta\": 10000.0", "\"rope_scaling\": {\"type\": \"spiral\", \"factor\": 2}", "rope_scaling", "spiral")]
    [InlineData("\"rope_theta\": 10000.0", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"twist\": 3}", "rope_scaling.twist", "3")]
    [InlineData("\"rope_theta\": 10000.0", "\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling", "factor")]
    [InlineData("\"rope_theta\": 10000.0", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": -4}", "rope_scaling.factor", "-4")]
    [InlineData("\"rope_theta\": 10000.0", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_parameters\": {\"rope_theta\": 1e4}", "rope_scaling", "rope_parameters")]
    [InlineData("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": \"no\"", "tie_word_embeddings", "\"no\"")]
    [InlineData("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads", "3")]
    [InlineData("\"num_attention_heads\": 4", "\"num_attention_heads\": 3", "hidden size 16", "3 attention heads")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2000000", "num_hidden_layers", "2000000")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": -1", "num_hidden_layers", "-1")]
    [InlineData("\"hidden_size\": 16", "\"hidden_size\": \"big\"", "hidden_size", "big")]
    [InlineData("\"rms_norm_eps\": 1e-5", "\"attn_logit_softcapping\": 30.0", "attn_logit_softcapping", "30.0")]
    [InlineData("\"rms_norm_eps\": 1e-5", "\"quantization_config\": {\"bits\": 4}", "quantization_config", "bits")]
    public void A_key_that_is_not_understood_is_named_with_its_value(string part, string replacement, string key, string value)
    {
        var message = Message(() => Open(Llama.Replace(part, replacement, StringComparison.Ordinal)));
        Assert.Contains("config.json", message, StringComparison.Ordinal);
        Assert.Contains(key, message, StringComparison.Ordinal);
        Assert.Contains(value, message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_architecture_is_named_with_what_is_supported()
    {
        var message = Message(() => LanguageModel.FromSource(
            "model", Config(Llama.Replace("LlamaForCausalLM", "MambaForCausalLM", StringComparison.Ordinal)), new RandomWeights(Config()), 1));
        Assert.Contains("MambaForCausalLM", message, StringComparison.Ordinal);
        Assert.Contains("Qwen2ForCausalLM", message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_encoder_is_not_a_language_model()
    {
        const string bert = """
            {"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
             "num_attention_heads": 2, "vocab_size": 30, "max_position_embeddings": 8, "type_vocab_size": 2}
            """;
        Assert.Contains("encoder", Message(() => LanguageModel.FromSource("bert", Config(bert), new RandomWeights(Config(bert)), 1)), StringComparison.Ordinal);
        Assert.Contains("causal", Message(() => MaskedLanguageModel.FromSource("llama", Config(), new RandomWeights(Config()), 1)), StringComparison.Ordinal);
        using var model = MaskedLanguageModel.FromSource("bert", Config(bert), new RandomWeights(Config(bert)), 1);
        Assert.Contains("token type 2", Message(() => model.Trace([1, 2], [1, 1], [0, 2], new TraceOptions())), StringComparison.Ordinal);
        Assert.Contains("no token", Message(() => model.Trace([1, 2], [0, 0], [0, 0], new TraceOptions())), StringComparison.Ordinal);
        Assert.Contains("8", Message(() => model.Trace(new int[9], [], [], new TraceOptions())), StringComparison.Ordinal);
        Assert.Contains("belong together", Message(() => model.Trace([1, 2], [1], [], new TraceOptions())), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_missing_and_every_misshapen_tensor_is_named()
    {
        var message = Message(() => Open(change: weights =>
        {
            weights.Remove("model.layers.1.mlp.up_proj.weight");
            weights.Remove("lm_head.weight");
            weights.Set("model.layers.0.self_attn.k_proj.weight", [16, 16], new float[256]);
            weights.Set("model.norm.weight", [16], new float[16], DType.I32);
        }));
        Assert.Contains("'model.layers.1.mlp.up_proj.weight'", message, StringComparison.Ordinal);
        Assert.Contains("'lm_head.weight'", message, StringComparison.Ordinal);
        Assert.Contains("[16, 16]", message, StringComparison.Ordinal);
        Assert.Contains("[8, 16]", message, StringComparison.Ordinal);
        Assert.Contains("I32", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vocabulary_that_disagrees_with_the_embedding_is_named()
    {
        var message = Message(() => Open(Llama.Replace("\"vocab_size\": 50", "\"vocab_size\": 64", StringComparison.Ordinal)));
        Assert.Contains("model.embed_tokens.weight", message, StringComparison.Ordinal);
        Assert.Contains("[50, 16]", message, StringComparison.Ordinal);
        Assert.Contains("[64, 16]", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_without_a_place_is_a_warning()
    {
        using var model = Open(change: weights => weights.Set("model.layers.0.self_attn.q_proj.bias", [16], new float[16]));
        Assert.Contains("q_proj.bias", Assert.Single(model.Warnings).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Scales_of_quantised_weights_are_an_error()
    {
        var message = Message(() => Open(change: weights => weights.Set("model.layers.0.self_attn.q_proj.weight_scale_inv", [1, 1], new float[1])));
        Assert.Contains("weight_scale_inv", message, StringComparison.Ordinal);
        Assert.Contains("quantised", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Overrunning_the_context_is_an_error_and_leaves_the_session_usable()
    {
        using var model = Open();
        using var session = model.Open();
        session.Append(new int[12]);
        Assert.Contains("13", Assert.Throws<InputException>(() => session.Append([1])).Message, StringComparison.Ordinal);
        Assert.Equal(12, session.Length);
        session.NextLogits(new float[50]);
        Assert.Contains("context of 12", Message(() => model.Score([new ScoreRequest(new int[10], new int[4])])), StringComparison.Ordinal);
        Assert.Contains("context of 12", Message(() => model.Trace([new int[13]], new TraceOptions())), StringComparison.Ordinal);
        Assert.Equal(3, model.Score([new ScoreRequest(new int[10], new int[3])])[0].LogProbs.Length);
    }

    [Fact]
    public void Ids_outside_the_vocabulary_are_named()
    {
        using var model = Open();
        using var session = model.Open();
        Assert.Contains("50", Assert.Throws<InputException>(() => session.Append([1, 50])).Message, StringComparison.Ordinal);
        Assert.Equal(0, session.Length);
        Assert.Contains("-1", Message(() => model.Score([new ScoreRequest(new[] { 1 }, new[] { -1 })])), StringComparison.Ordinal);
    }

    [Fact]
    public void Empty_contexts_are_errors_and_empty_continuations_are_empty_scores()
    {
        using var model = Open();
        using var session = model.Open();
        Assert.Throws<InputException>(() => session.NextLogits(new float[50]));
        Assert.Throws<InputException>(() => session.Score([1]));
        Assert.Throws<InputException>(() => model.Score([new ScoreRequest(default, new[] { 1 })]));
        Assert.Empty(model.Score([new ScoreRequest(new[] { 1 }, default)])[0].LogProbs);
        Assert.Empty(model.Score([]));
        Assert.Empty(model.Trace([], new TraceOptions()));
    }

    [Fact]
    public void A_disposed_model_refuses_instead_of_reading_freed_memory()
    {
        var model = Open();
        var session = model.Open();
        session.Append([1, 2]);
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => session.Append([1]));
        Assert.Throws<ObjectDisposedException>(() => session.NextLogits(new float[50]));
        Assert.Throws<ObjectDisposedException>(() => model.Score([new ScoreRequest(new[] { 1 }, new[] { 1 })]));
        session.Dispose();
        model.Dispose();
    }
}
