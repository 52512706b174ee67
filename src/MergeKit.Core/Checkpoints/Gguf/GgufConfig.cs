using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>The config.json that a file's metadata describe (keys: ggml, docs/gguf.md, and llama.cpp, gguf-py/gguf/constants.py).</summary>
internal sealed class GgufConfig(GgufHeader header, GgufFamily family)
{
    private const int Gemma2Largest = 46, Gemma3Largest = 62, Gemma3Pattern = 6, SmolLm3Pattern = 4, MostLayers = 4096;

    private readonly JsonObject _json = new() { ["architectures"] = new JsonArray(family.ClassName), ["model_type"] = family.ModelType };

    /// <summary>The configuration.</summary>
    /// <exception cref="InputException">A key is missing, or what it says cannot be expressed.</exception>
    public JsonObject Read()
    {
        if (family.Name == "gpt2")
            Gpt2();
        else
            Common();
        _json["vocab_size"] = Vocabulary();
        _json["tie_word_embeddings"] = !Has("output.weight");
        switch (family.Name)
        {
            case "gemma" or "gemma2" or "gemma3": Gemma(); break;
            case "falcon": Falcon(); break;
            case "qwen2moe" or "qwen3moe": QwenExperts(); break;
            case "deepseek2": DeepSeek(); break;
            case "gpt-oss": GptOss(); break;
            case "gptneox": GptNeoX(); break;
            default: Others(); break;
        }

        Scaling();
        foreach (var key in new[] { "bos_token_id", "eos_token_id" })
            if (header.Number($"tokenizer.ggml.{key}") is { } id)
                _json[key] = (long)id;
        return _json;
    }

    private void Gpt2()
    {
        (_json["n_embd"], _json["n_layer"], _json["n_head"]) = (Whole("embedding_length"), Layers(), Whole("attention.head_count"));
        (_json["n_positions"], _json["n_inner"], _json["activation_function"]) = (Whole("context_length"), Whole("feed_forward_length"), "gelu_new");
        _json["layer_norm_epsilon"] = Real("attention.layer_norm_epsilon", 1e-5);
    }

    private void Common()
    {
        var (heads, width) = (Whole("attention.head_count"), Whole("embedding_length"));
        (_json["hidden_size"], _json["num_hidden_layers"], _json["num_attention_heads"]) = (width, Layers(), heads);
        _json["intermediate_size"] = Whole("feed_forward_length");
        _json["max_position_embeddings"] = Whole("context_length");
        _json["num_key_value_heads"] = Whole("attention.head_count_kv", heads);
        var headSize = Whole("attention.key_length", width / Math.Max(1, heads));
        if (headSize * heads != width || family.Name is "llama" or "qwen2" or "qwen3" or "qwen3moe" or "gemma" or "gemma2" or "gemma3" or "gpt-oss")
            _json["head_dim"] = headSize;
        _json["hidden_act"] = family.Name is "phi2" ? "gelu_new" : family.Name is "starcoder2" or "gemma" or "gemma2" or "gemma3" ? "gelu_pytorch_tanh" : "silu";
        var (epsilon, key) = family.Name switch
        {
            "phi2" or "stablelm" or "command-r" or "gptneox" => ("layer_norm_eps", "attention.layer_norm_epsilon"),
            "starcoder2" => ("norm_epsilon", "attention.layer_norm_epsilon"),
            "falcon" => ("layer_norm_epsilon", "attention.layer_norm_epsilon"),
            _ => ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        };
        _json[epsilon] = Real(key, 1e-6);
        _json["rope_theta"] = Real("rope.freq_base", 10000);
        var rotated = Whole("rope.dimension_count", headSize);
        if (family.Name is "phi2" or "stablelm" || (family.Name == "phi3" && rotated != headSize))
            _json["partial_rotary_factor"] = (double)rotated / Math.Max(1, headSize);
    }

    private void Others()
    {
        if (Optional("attention.sliding_window") is >= 1 and var window && family.Name is "llama" or "phi3" or "starcoder2")
            _json["sliding_window"] = window;
        if (family.ClassName == "MixtralForCausalLM")
            (_json["num_local_experts"], _json["num_experts_per_tok"]) = (Whole("expert_count"), Whole("expert_used_count"));
        if (family.ClassName == "LlamaForCausalLM")
            (_json["attention_bias"], _json["mlp_bias"]) = (Has("blk.0.attn_output.bias"), Has("blk.0.ffn_up.bias"));
        if (family.Name == "qwen3")
            _json["attention_bias"] = Has("blk.0.attn_output.bias");
        if (family.Name == "smollm3")
            _json["no_rope_layer_interval"] = SmolLm3Pattern;
        if (family.Name == "stablelm")
            (_json["use_qkv_bias"], _json["qk_layernorm"], _json["use_parallel_residual"]) = (Has("blk.0.attn_q.bias"), Has("blk.0.attn_q_norm.weight"), !Has("blk.0.ffn_norm.weight"));
        if (family.Name == "starcoder2")
            _json["use_bias"] = Has("blk.0.attn_q.bias");
        if (family.Name == "command-r")
            (_json["logit_scale"], _json["use_qk_norm"]) = (Real("logit_scale", 0.0625), Has("blk.0.attn_q_norm.weight"));
        if (family.Name is "command-r" or "olmo2")
            _json["attention_bias"] = Has("blk.0.attn_q.bias");
    }

    private void Gemma()
    {
        _json["hidden_activation"] = "gelu_pytorch_tanh";
        if (family.Name == "gemma")
            return;
        var (layers, heads) = (Layers(), Whole("attention.head_count"));
        var isLargest = layers == (family.Name == "gemma2" ? Gemma2Largest : Gemma3Largest);
        _json["query_pre_attn_scalar"] = isLargest ? (double)Whole("embedding_length") / Math.Max(1, heads) : Whole("attention.key_length");
        _json["sliding_window"] = Whole("attention.sliding_window", 4096);
        _json["attn_logit_softcapping"] = family.Name == "gemma2" ? Real("attn_logit_softcapping", 50) : null;
        _json["final_logit_softcapping"] = family.Name == "gemma2" ? Real("final_logit_softcapping", 30) : null;
        if (family.Name == "gemma3")
            (_json["sliding_window_pattern"], _json["rope_local_base_freq"]) = (Gemma3Pattern, Real("rope.freq_base_swa", 10000));
    }

    private void Falcon()
    {
        var keyHeads = Whole("attention.head_count_kv", 1);
        var modern = keyHeads > 1 || Has("blk.0.attn_norm_2.weight");
        _json.Remove("hidden_act");
        _json.Remove("intermediate_size");
        (_json["ffn_hidden_size"], _json["activation"], _json["parallel_attn"], _json["alibi"]) = (Whole("feed_forward_length"), "gelu", true, false);
        (_json["new_decoder_architecture"], _json["multi_query"], _json["num_kv_heads"]) = (modern, !modern, keyHeads);
        _json["bias"] = Has("blk.0.attn_qkv.bias");
        if (modern)
            _json["num_ln_in_parallel_attn"] = Has("blk.0.attn_norm_2.weight") ? 2 : 1;
    }

    private void QwenExperts()
    {
        (_json["num_experts"], _json["num_experts_per_tok"]) = (Whole("expert_count"), Whole("expert_used_count"));
        _json["moe_intermediate_size"] = Whole("expert_feed_forward_length");
        _json["norm_topk_prob"] = family.Name == "qwen3moe";
        if (family.Name == "qwen2moe")
            _json["shared_expert_intermediate_size"] = Whole("expert_shared_feed_forward_length");
    }

    private void GptOss()
    {
        (_json["num_local_experts"], _json["num_experts_per_tok"]) = (Whole("expert_count"), Whole("expert_used_count"));
        _json["intermediate_size"] = Whole("expert_feed_forward_length", Whole("feed_forward_length"));
        (_json["sliding_window"], _json["attention_bias"], _json["swiglu_limit"]) = (Whole("attention.sliding_window"), Has("blk.0.attn_q.bias"), 7.0);
    }

    private void GptNeoX()
    {
        var width = Whole("embedding_length") / Math.Max(1, Whole("attention.head_count"));
        _json.Remove("num_key_value_heads");
        (_json["hidden_act"], _json["rotary_pct"]) = ("gelu", (double)Whole("rope.dimension_count", width) / Math.Max(1, width));
        _json["use_parallel_residual"] = header.Values.GetValueOrDefault($"{family.Name}.use_parallel_residual") is not false;
    }

    private void DeepSeek()
    {
        var third = family.ClassName == "DeepseekV3ForCausalLM";
        var rotary = Whole("rope.dimension_count");
        _json.Remove("head_dim");
        _json["num_key_value_heads"] = Whole("attention.head_count");
        _json["q_lora_rank"] = Has("blk.0.attn_q_a.weight") ? Whole("attention.q_lora_rank") : null;
        (_json["kv_lora_rank"], _json["qk_rope_head_dim"]) = (Whole("attention.kv_lora_rank"), rotary);
        _json["qk_nope_head_dim"] = Whole("attention.key_length_mla", Whole("attention.key_length")) - rotary;
        _json["v_head_dim"] = Whole("attention.value_length_mla", Whole("attention.value_length"));
        (_json["n_routed_experts"], _json["num_experts_per_tok"], _json["n_shared_experts"]) = (Whole("expert_count"), Whole("expert_used_count"), Whole("expert_shared_count", 0));
        (_json["moe_intermediate_size"], _json["first_k_dense_replace"]) = (Whole("expert_feed_forward_length"), Whole("leading_dense_block_count", 0));
        (_json["routed_scaling_factor"], _json["norm_topk_prob"]) = (Real("expert_weights_scale", 1), header.Values.GetValueOrDefault($"{family.Name}.expert_weights_norm") is true);
        (_json["scoring_func"], _json["topk_method"]) = third ? ("sigmoid", "noaux_tc") : ("softmax", "greedy");
        if (third)
            (_json["n_group"], _json["topk_group"]) = (Whole("expert_group_count", 1), Whole("expert_group_used_count", 1));
    }

    private void Scaling()
    {
        if (Factors("rope_freqs.weight") is { } divisors)
            _json["rope_scaling"] = LongRope(divisors, divisors, 1);
        else if (Factors("rope_factors_long.weight") is { } far && Factors("rope_factors_short.weight") is { } near)
            _json["rope_scaling"] = LongRope(near, far, Optional("rope.scaling.attn_factor") is null ? null : Real("rope.scaling.attn_factor", 1));
        else if (header.Value<string>($"{family.Name}.rope.scaling.type") is { } type and not "none")
            _json["rope_scaling"] = type switch
            {
                "linear" => new JsonObject { ["rope_type"] = type, ["factor"] = Real("rope.scaling.factor", 1) },
                "yarn" => Yarn(),
                _ => throw new InputException($"{header.Path}: scales its RoPE by '{type}', which its metadata describe only in part: put the model's config.json beside it"),
            };
    }

    private JsonObject Yarn()
    {
        var yarn = new JsonObject { ["rope_type"] = "yarn", ["factor"] = Real("rope.scaling.factor", 1), ["original_max_position_embeddings"] = Whole("rope.scaling.original_context_length") };
        if (Optional("rope.scaling.yarn_beta_fast") is not null)
            yarn["beta_fast"] = Real("rope.scaling.yarn_beta_fast", 32);
        if (Optional("rope.scaling.yarn_beta_slow") is not null)
            yarn["beta_slow"] = Real("rope.scaling.yarn_beta_slow", 1);
        if (family.Name == "gpt-oss")
            yarn["truncate"] = false; // of its models, which the metadata do not say
        if (family.Name == "deepseek2")
            (yarn["mscale"], yarn["mscale_all_dim"]) = (Magnitude(), Magnitude());
        return yarn;

        double Magnitude() => Math.Round(10 * Real("rope.scaling.yarn_log_multiplier", 0.1), 6);
    }

    /// <summary>Divisors of the frequencies: exactly what a file has; for Llama 3 they are the same for all lengths.</summary>
    private JsonObject LongRope(float[] near, float[] far, double? magnitude)
    {
        static JsonArray List(float[] values) => [.. values.Select(value => (JsonNode?)JsonValue.Create(Rounded(value)))];
        var original = Optional("rope.scaling.original_context_length") ?? Whole("context_length");
        var scaling = new JsonObject { ["rope_type"] = "longrope", ["short_factor"] = List(near), ["long_factor"] = List(far), ["original_max_position_embeddings"] = original };
        if (magnitude is not null)
            scaling["attention_factor"] = magnitude;
        return scaling;
    }

    private float[]? Factors(string name)
    {
        if (header.Tensors.Find(tensor => tensor.Name == name) is not { Type: GgufType.F32 } tensor)
            return null;
        var values = new float[tensor.Bytes / sizeof(float)];
        using var file = File.OpenRead(header.Path);
        file.Position = tensor.Offset;
        file.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return Array.TrueForAll(values, value => value > 0 && float.IsFinite(value)) ? values : throw new InputException($"{header.Path}: tensor '{name}' has divisors of frequencies that are not positive numbers");
    }

    private long Vocabulary() => header.Tensors.Find(tensor => tensor.Name == "token_embd.weight") is { Shape: [var rows, _] } ? rows
        : Optional("vocab_size") ?? (header.Value<List<object>>("tokenizer.ggml.tokens") is { Count: > 0 } tokens ? tokens.Count : throw new InputException($"{header.Path}: lacks tensor 'token_embd.weight'"));

    private long Layers() => Whole("block_count") is >= 1 and <= MostLayers and var count ? count : throw new InputException($"{header.Path}: '{family.Name}.block_count' is {Whole("block_count")}; 1 to {MostLayers} are possible");

    private bool Has(string tensor) => header.Tensors.Exists(stored => stored.Name == tensor);

    private long? Optional(string key) => header.Number($"{family.Name}.{key}") is { } number ? (long)number : null;

    private long Whole(string key, long? otherwise = null) => Optional(key) ?? otherwise ?? throw new InputException($"{header.Path}: lacks the metadata '{family.Name}.{key}'");

    private double Real(string key, double otherwise) => header.Number($"{family.Name}.{key}") is { } number ? Rounded(number) : otherwise;

    /// <summary>Float32 numbers of the metadata in the shortest decimal form: 1e-5, not 9.999999747378752e-06.</summary>
    private static double Rounded(double value) => double.Parse(((float)value).ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
