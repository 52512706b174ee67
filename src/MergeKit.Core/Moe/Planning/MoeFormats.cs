using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Planning;

/// <summary>The formats that mixtures are written in, in mergekit's order of preference.</summary>
internal static class MoeFormats
{
    private static readonly string[] LlamaLike = ["LlamaForCausalLM", "MistralForCausalLM"];

    /// <summary>All formats.</summary>
    public static IReadOnlyList<MoeFormat> All { get; } =
    [
        new("Mixtral", "MixtralForCausalLM", "mixtral", LlamaLike, Mixtral),
        new("DeepSeek MoE", "DeepseekForCausalLM", "deepseek", LlamaLike, Deepseek)
        { Shared = (0, int.MaxValue), SharedOfEqualWidth = true, Dense = DenseLayers.First },
        new("Qwen MoE", "Qwen2MoeForCausalLM", "qwen2_moe", ["Qwen2ForCausalLM", .. LlamaLike], Qwen2)
        { Shared = (1, int.MaxValue), SharedGate = true, Dense = DenseLayers.Any, AddsBiases = true },
        new("Qwen3 MoE", "Qwen3MoeForCausalLM", "qwen3_moe", ["Qwen3ForCausalLM"], Qwen3) { Dense = DenseLayers.Any },
        new("DeepSeek-V2 MoE", "DeepseekV2ForCausalLM", "deepseek_v2", ["DeepseekV2ForCausalLM"], DeepseekV2)
        { Shared = (0, int.MaxValue), SharedOfEqualWidth = true, Dense = DenseLayers.First },
        new("DeepSeek-V3 MoE", "DeepseekV3ForCausalLM", "deepseek_v3", ["DeepseekV3ForCausalLM"], DeepseekV3)
        { Shared = (0, int.MaxValue), SharedOfEqualWidth = true, Dense = DenseLayers.First },
    ];

    /// <summary>The first format that can hold a mixture; null, with reasons, where none can.</summary>
    public static MoeFormat? Choose(MoeSettings moe, IReadOnlyDictionary<ModelReference, LoadedModel> models, SourceLocation location, List<Problem> problems)
    {
        var candidates = All.Where(format => moe.Architecture is null || format.IsCalled(moe.Architecture)).ToList();
        if (candidates.Count == 0)
        {
            problems.Add(Problem.Error(
                $"architecture '{moe.Architecture}' is no output format of mixtures.{Spelling.Hint(moe.Architecture!, All.Select(format => format.Name))} "
                + $"Known: {string.Join(", ", All.Select(format => format.Name))}", location));
            return null;
        }

        var objections = candidates.Select(format => (format, why: Objection(format, moe, models))).ToList();
        if (objections.Find(one => one.why is null).format is { } chosen)
            return chosen;
        var concerning = objections.Where(one => one.format.Sources.Contains(models[moe.Base].Config?.Architecture ?? "")).DefaultIfEmpty(objections[0]);
        problems.Add(Problem.Error(
            $"no output format can hold this mixture: {string.Join("; ", concerning.Select(one => $"{one.format.Name}: {one.why}"))}", location));
        return null;
    }

    private static string? Objection(MoeFormat format, MoeSettings moe, IReadOnlyDictionary<ModelReference, LoadedModel> models)
    {
        foreach (var model in moe.Models().Distinct().Select(reference => models[reference]))
            if (!format.Sources.Contains(model.Config?.Architecture ?? "", StringComparer.Ordinal))
                return $"'{model}' is {model.Config?.Architecture ?? "of no named architecture"}, wanted {string.Join(" or ", format.Sources)}";
        var (least, most) = format.Shared;
        if (moe.Shared.Count < least)
            return "it needs a shared expert (shared_experts), for instance the base model";
        if (moe.Shared.Count > most)
            return "it has no shared experts";
        if (!format.SharedGate && moe.Shared.Any(expert => expert.Positive.Count + expert.Negative.Count > 0))
            return "it has no gate on shared experts, so they take no prompts";
        if (moe.Layers is { } layers && !Fits(format.Dense, layers, models[moe.Base].LayerCount))
            return format.Dense == DenseLayers.None
                ? $"every layer is a mixture, so layer_range {layers} of {models[moe.Base].LayerCount} layers is not possible"
                : $"only the first layers may stay dense, so layer_range {layers} must end at {models[moe.Base].LayerCount}";
        return null;
    }

    private static bool Fits(DenseLayers dense, LayerRange layers, int count) =>
        dense == DenseLayers.Any || (layers.End == count && (layers.Start == 0 || dense == DenseLayers.First));

    private static void Mixtral(JsonObject config, MixtureShape shape)
    {
        config["intermediate_size"] = shape.Width;
        config["num_local_experts"] = shape.Experts;
        config["num_experts_per_tok"] = shape.TopK;
        config["output_router_logits"] = false;
        config["router_aux_loss_coef"] = 0.001;
        config["router_jitter_noise"] = 0.0;
        config["sliding_window"] = config["sliding_window"]?.DeepClone();
    }

    private static void Deepseek(JsonObject config, MixtureShape shape)
    {
        DeepseekNumbers(config, shape);
        config["scoring_func"] = "softmax";
        config["auto_map"] = new JsonObject
        {
            ["AutoConfig"] = "deepseek-ai/deepseek-moe-16b-base--configuration_deepseek.DeepseekConfig",
            ["AutoModel"] = "deepseek-ai/deepseek-moe-16b-base--modeling_deepseek.DeepseekModel",
            ["AutoModelForCausalLM"] = "deepseek-ai/deepseek-moe-16b-base--modeling_deepseek.DeepseekForCausalLM",
        };
    }

    private static void DeepseekV2(JsonObject config, MixtureShape shape)
    {
        DeepseekNumbers(config, shape);
        config["scoring_func"] = "softmax";
        config["topk_method"] = "greedy";
        Ungrouped(config);
    }

    private static void DeepseekV3(JsonObject config, MixtureShape shape)
    {
        DeepseekNumbers(config, shape);
        config["scoring_func"] = "sigmoid";
        config["topk_method"] = "noaux_tc";
        Ungrouped(config);
    }

    private static void Ungrouped(JsonObject config)
    {
        config["n_group"] = 1;
        config["topk_group"] = 1;
        config["routed_scaling_factor"] = 1.0;
    }

    private static void DeepseekNumbers(JsonObject config, MixtureShape shape)
    {
        config["n_routed_experts"] = shape.Experts;
        config["n_shared_experts"] = shape.SharedWidths.Count > 0 ? shape.SharedWidths.Count : null;
        config["num_experts_per_tok"] = shape.TopK;
        config["first_k_dense_replace"] = shape.First;
        config["moe_layer_freq"] = 1;
        config["norm_topk_prob"] = true;
        config["moe_intermediate_size"] = shape.Width;
    }

    private static void Qwen2(JsonObject config, MixtureShape shape)
    {
        var window = config["model_type"]?.GetValue<string>() == "qwen2_moe" && config["sliding_window"] is JsonValue && config["use_sliding_window"] is null;
        if (window)
            (config["use_sliding_window"], config["max_window_layers"]) = (true, 0);
        Qwen3(config, shape);
        config["shared_expert_intermediate_size"] = shape.SharedWidths.Sum();
        config["qkv_bias"] = true;
    }

    private static void Qwen3(JsonObject config, MixtureShape shape)
    {
        config["num_experts"] = shape.Experts;
        config["num_experts_per_tok"] = shape.TopK;
        config["decoder_sparse_step"] = 1;
        config["mlp_only_layers"] = new JsonArray([.. shape.Dense.Select(layer => JsonValue.Create(layer))]);
        config["norm_topk_prob"] = true;
        config["moe_intermediate_size"] = shape.Width;
        config["router_aux_loss_coef"] = 0.001;
        config["output_router_logits"] = false;
    }
}
