using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Compares the inputs' configurations: what must agree, and what had better.</summary>
internal static class CompatibilityChecks
{
    /// <summary>Keys that change what the numbers in a tensor mean: different values make an average meaningless.</summary>
    private static readonly string[] MustAgree =
    [
        "num_attention_heads", "num_key_value_heads", "n_head", "head_dim", "hidden_act", "activation_function", "num_local_experts", "num_experts",
        "n_routed_experts", "num_experts_per_tok", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "kv_lora_rank", "partial_rotary_factor",
    ];

    /// <summary>Keys whose differences change the result quietly: the template's value is used for all.</summary>
    private static readonly string[] HadBetterAgree =
    [
        "rope_theta", "rope_scaling", "rope_parameters", "rope_local_base_freq", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "sliding_window",
        "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "logit_scale", "bos_token_id", "eos_token_id", "pad_token_id",
    ];

    public static void Check(MergePlan plan, List<Problem> problems)
    {
        if (plan.Options.Raw || plan.Template is not { } template)
            return;
        foreach (var model in plan.Models.Where(model => model != template))
        {
            CheckArchitecture(plan, template, model, problems);
            foreach (var key in MustAgree)
                Compare(key, template, model, problems, Severity.Error, "the tensors do not mean the same");
            foreach (var key in HadBetterAgree.Where(key => plan.Recipe.Tokenizer is null || !key.EndsWith("_token_id", StringComparison.Ordinal)))
                Compare(key, template, model, problems, Severity.Warning, $"the result gets that of '{template}'");
            CompareHeads(template, model, problems);
        }

        CheckTypes(plan, problems);
        if (plan.Recipe.Tokenizer is null)
            VocabularyCheck.Check(plan.Models, template, problems);
    }

    private static void CheckArchitecture(MergePlan plan, LoadedModel template, LoadedModel model, List<Problem> problems)
    {
        var (wanted, seen) = (template.Config!.Architecture, model.Config!.Architecture);
        if (wanted == seen)
            return;
        var severity = plan.Options.AllowCrimes ? Severity.Warning : Severity.Error;
        var hint = plan.Options.AllowCrimes ? "" : "; --allow-crimes merges them all the same if their tensors agree";
        problems.Add(new Problem(severity, $"different architectures: '{template}' is {wanted ?? "unnamed"}, '{model}' is {seen ?? "unnamed"}{hint}", model.Reference.Location));
    }

    private static void Compare(string key, LoadedModel template, LoadedModel model, List<Problem> problems, Severity severity, string consequence)
    {
        var (wanted, seen) = (template.Config!.Json[key], model.Config!.Json[key]);
        if (JsonNode.DeepEquals(wanted, seen) || (severity == Severity.Error && (wanted is null || seen is null)))
            return;
        problems.Add(new Problem(severity,
            $"config key '{key}' differs: '{template}' has {wanted?.ToJsonString() ?? "none"}, '{model}' has {seen?.ToJsonString() ?? "none"}; {consequence}", model.Reference.Location));
    }

    private static void CompareHeads(LoadedModel template, LoadedModel model, List<Problem> problems)
    {
        var (tiedA, tiedB) = (template.Config!.GetBool("tie_word_embeddings"), model.Config!.GetBool("tie_word_embeddings"));
        if (tiedA is { } a && tiedB is { } b && a != b)
            problems.Add(Problem.Warning($"'{(a ? template : model)}' ties lm_head to its embedding and '{(a ? model : template)}' does not: "
                + "the embedding stands in for the missing lm_head", model.Reference.Location));
    }

    /// <summary>Quantised inputs: what they are decoded from, and what becomes of the result's type.</summary>
    private static void NoteDecoded(MergePlan plan, List<Problem> problems)
    {
        var isFloat32 = plan.Recipe.DType is null && plan.Recipe.OutDType is null;
        foreach (var model in plan.Models)
        {
            var forms = model.Checkpoint.Tensors.Where(tensor => tensor is { Content: not null, DType: DType.F32 }).GroupBy(tensor => tensor.Content!.Form, StringComparer.Ordinal)
                .Where(group => group.Key is not "LoRA" and not "adapter").Select(group => $"{group.Count()} tensors from {group.Key}").ToList();
            if (forms.Count > 0)
                problems.Add(Problem.Note($"model '{model}': {string.Join(", ", forms)}, decoded to float32 when read (to one rounding of 2^-24)"
                    + (isFloat32 ? "; without out_dtype the result is float32" : ""), model.Reference.Location));
        }
    }

    private static void CheckTypes(MergePlan plan, List<Problem> problems)
    {
        foreach (var (key, type) in new[] { ("dtype", plan.Recipe.DType), ("out_dtype", plan.Recipe.OutDType) })
            if (type is { } given && !given.IsFloat())
                problems.Add(Problem.Error($"{key}: {given.TorchName()} is not a floating-point type", plan.Recipe.MethodLocation));
        NoteDecoded(plan, problems);
        if (plan.Recipe.DType is not null)
            return;
        var types = plan.Models.Select(model => (model, main: model.Checkpoint.Tensors.Where(tensor => tensor.DType.IsFloat())
            .GroupBy(tensor => tensor.DType).MaxBy(group => group.Sum(tensor => tensor.ByteLength))?.Key)).ToList();
        if (types.Select(one => one.main).Distinct().Count() > 1)
            problems.Add(Problem.Warning("the models are stored in different types and no dtype is given: "
                + string.Join(", ", types.Select(one => $"'{one.model}' {one.main?.TorchName() ?? "no floats"}"))));
    }
}
