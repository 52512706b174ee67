namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>The families that are known.</summary>
internal static class GgufFamilies
{
    private static readonly GgufName[] Attention =
    [
        new("attn_norm", "input_layernorm"), new("attn_q", "self_attn.q_proj", GgufChange.Queries), new("attn_k", "self_attn.k_proj", GgufChange.Keys),
        new("attn_v", "self_attn.v_proj"), new("attn_output", "self_attn.o_proj"), new("attn_q_norm", "self_attn.q_norm"), new("attn_k_norm", "self_attn.k_norm"),
    ];

    private static readonly GgufName[] Mlp = [new("ffn_gate", "mlp.gate_proj"), new("ffn_up", "mlp.up_proj"), new("ffn_down", "mlp.down_proj")];

    private static readonly GgufName[] Plain = [.. Attention, new("ffn_norm", "post_attention_layernorm"), .. Mlp];

    private static readonly GgufName[] Experts =
    [
        new("ffn_gate_inp", "mlp.gate"), new("ffn_gate_exps.weight", "mlp.experts.{e}.gate_proj.weight"), new("ffn_up_exps.weight", "mlp.experts.{e}.up_proj.weight"),
        new("ffn_down_exps.weight", "mlp.experts.{e}.down_proj.weight"),
    ];

    private static readonly GgufName[] Sandwich =
    [
        .. Attention, new("post_attention_norm", "post_attention_layernorm"), new("ffn_norm", "pre_feedforward_layernorm"), .. Mlp,
        new("post_ffw_norm", "post_feedforward_layernorm"),
    ];

    private static readonly GgufFamily Llama = new("llama", "LlamaForCausalLM", "llama", Plain) { Interleaves = true };

    private static readonly GgufFamily DeepSeek = new("deepseek2", "DeepseekV2ForCausalLM", "deepseek_v2",
    [
        new("attn_norm", "input_layernorm"), new("attn_q", "self_attn.q_proj"), new("attn_q_a", "self_attn.q_a_proj"), new("attn_q_a_norm", "self_attn.q_a_layernorm"),
        new("attn_q_b", "self_attn.q_b_proj"), new("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"), new("attn_kv_a_norm", "self_attn.kv_a_layernorm"),
        new("attn_kv_b", "self_attn.kv_b_proj"), new("attn_output", "self_attn.o_proj"), new("ffn_norm", "post_attention_layernorm"), .. Mlp, .. Experts,
        new("exp_probs_b.bias", "mlp.gate.e_score_correction_bias"), new("ffn_gate_shexp", "mlp.shared_experts.gate_proj"),
        new("ffn_up_shexp", "mlp.shared_experts.up_proj"), new("ffn_down_shexp", "mlp.shared_experts.down_proj"),
    ])
    { NeedsOutput = true };

    /// <summary>All of them. Several classes may share a name: which is meant when a file is read, its metadata say.</summary>
    public static IReadOnlyList<GgufFamily> All { get; } =
    [
        Llama, Llama with { ClassName = "MistralForCausalLM", ModelType = "mistral" },
        Llama with
        {
            ClassName = "MixtralForCausalLM", ModelType = "mixtral",
            Inner = [.. Attention, new("ffn_norm", "post_attention_layernorm"), new("ffn_gate_inp", "block_sparse_moe.gate"),
                new("ffn_gate_exps.weight", "block_sparse_moe.experts.{e}.w1.weight"), new("ffn_up_exps.weight", "block_sparse_moe.experts.{e}.w3.weight"),
                new("ffn_down_exps.weight", "block_sparse_moe.experts.{e}.w2.weight")],
        },
        new("smollm3", "SmolLM3ForCausalLM", "smollm3", Plain) { Interleaves = true },
        new("qwen2", "Qwen2ForCausalLM", "qwen2", Plain), new("qwen3", "Qwen3ForCausalLM", "qwen3", Plain),
        new("qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", [.. Plain, .. Experts, new("ffn_gate_inp_shexp", "mlp.shared_expert_gate"),
            new("ffn_gate_shexp", "mlp.shared_expert.gate_proj"), new("ffn_up_shexp", "mlp.shared_expert.up_proj"), new("ffn_down_shexp", "mlp.shared_expert.down_proj")]),
        new("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", [.. Plain, .. Experts]),
        OnePlus(new("gemma", "GemmaForCausalLM", "gemma", Plain)), OnePlus(new("gemma2", "Gemma2ForCausalLM", "gemma2", Sandwich)),
        OnePlus(new("gemma3", "Gemma3ForCausalLM", "gemma3_text", Sandwich)),
        new("phi2", "PhiForCausalLM", "phi", [.. Attention.Where(name => name.File != "attn_output"), new("attn_output", "self_attn.dense"), new("ffn_up", "mlp.fc1"), new("ffn_down", "mlp.fc2")])
        { Outer = [new("token_embd", "model.embed_tokens"), new("output_norm", "model.final_layernorm"), new("output", "lm_head")], NeedsOutput = true },
        new("phi3", "Phi3ForCausalLM", "phi3", [new("attn_norm", "input_layernorm"), new("attn_qkv", "self_attn.qkv_proj"), new("attn_output", "self_attn.o_proj"),
            new("ffn_norm", "post_attention_layernorm"), new("ffn_up", "mlp.gate_up_proj"), new("ffn_down", "mlp.down_proj")]),
        new("gpt2", "GPT2LMHeadModel", "gpt2", [new("attn_norm", "ln_1"), .. Transposed("attn_qkv", "attn.c_attn"), .. Transposed("attn_output", "attn.c_proj"),
            new("ffn_norm", "ln_2"), .. Transposed("ffn_up", "mlp.c_fc"), .. Transposed("ffn_down", "mlp.c_proj")])
        { Layers = "transformer.h.", OptionalPrefix = "transformer.", Outer = [new("token_embd", "transformer.wte"), new("position_embd", "transformer.wpe"), new("output_norm", "transformer.ln_f"), new("output", "lm_head")] },
        new("stablelm", "StableLmForCausalLM", "stablelm", [.. Plain.Where(name => !name.File.EndsWith("_norm", StringComparison.Ordinal) || name.File is "attn_norm" or "ffn_norm"),
            new("attn_q_norm.weight", "self_attn.q_layernorm.norms.{e}.weight"), new("attn_k_norm.weight", "self_attn.k_layernorm.norms.{e}.weight")]) { NeedsOutput = true },
        new("starcoder2", "Starcoder2ForCausalLM", "starcoder2", [.. Attention, new("ffn_norm", "post_attention_layernorm"), new("ffn_up", "mlp.c_fc"), new("ffn_down", "mlp.c_proj")]),
        new("falcon", "FalconForCausalLM", "falcon", [new("attn_norm", "input_layernorm"), new("attn_norm", "ln_mlp"), new("attn_norm_2", "ln_attn"),
            new("attn_qkv", "self_attention.query_key_value", GgufChange.GroupedQkv), new("attn_output", "self_attention.dense"),
            new("ffn_up", "mlp.dense_h_to_4h"), new("ffn_down", "mlp.dense_4h_to_h")])
        { Layers = "transformer.h.", OptionalPrefix = "transformer.", Outer = [new("token_embd", "transformer.word_embeddings"), new("output_norm", "transformer.ln_f"), new("output", "lm_head")] },
        new("gptneox", "GPTNeoXForCausalLM", "gpt_neox", [new("attn_norm", "input_layernorm"), new("attn_qkv", "attention.query_key_value", GgufChange.GroupedQkv), new("attn_output", "attention.dense"),
            new("ffn_norm", "post_attention_layernorm"), new("ffn_up", "mlp.dense_h_to_4h"), new("ffn_down", "mlp.dense_4h_to_h")])
        { Layers = "gpt_neox.layers.", Outer = [new("token_embd", "gpt_neox.embed_in"), new("output_norm", "gpt_neox.final_layer_norm"), new("output", "embed_out")], NeedsOutput = true },
        new("gpt-oss", "GptOssForCausalLM", "gpt_oss", [.. Attention, new("attn_sinks.weight", "self_attn.sinks"), new("post_attention_norm", "post_attention_layernorm"), new("ffn_gate_inp", "mlp.router"),
            new("ffn_down_exps.weight", "mlp.experts.down_proj", GgufChange.Experts), new("ffn_down_exps.bias", "mlp.experts.down_proj_bias")]) { GateUp = "mlp.experts.gate_up_proj", NeedsOutput = true },
        new("olmo2", "Olmo2ForCausalLM", "olmo2", [.. Sandwich.Where(name => name.File is not ("attn_norm" or "ffn_norm"))]) { NeedsOutput = true },
        new("command-r", "CohereForCausalLM", "cohere", [.. Attention, .. Mlp]),
        DeepSeek, DeepSeek with { ClassName = "DeepseekV3ForCausalLM", ModelType = "deepseek_v3" },
    ];

    /// <summary>Names of architectures, for messages.</summary>
    public static string Names => string.Join(", ", All.Select(family => family.Name).Distinct());

    private static GgufName[] Transposed(string file, string model) =>
        [new(file + ".weight", model + ".weight", GgufChange.Transposed), new(file + ".bias", model + ".bias")];

    /// <summary>Norms whose stored weights are 1 less than their factors.</summary>
    private static GgufFamily OnePlus(GgufFamily family) => family with { Inner = [.. family.Inner.Select(Shifted)], Outer = [.. family.Outer.Select(Shifted)] };

    private static GgufName Shifted(GgufName name) => name.File.EndsWith("_norm", StringComparison.Ordinal) ? name with { Change = GgufChange.OnePlus } : name;
}
