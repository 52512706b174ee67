namespace MergeKit.Core.Architectures;

/// <summary>Configuration keys that change nothing in a forward pass: bookkeeping, training, and defaults of generation.</summary>
internal static class NeutralKeys
{
    private static readonly HashSet<string> Names = new(StringComparer.Ordinal)
    {
        "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "auto_map", "name_or_path", "license", "model_name",
        "tokenizer_class", "use_cache", "cache_implementation", "gradient_checkpointing", "torchscript", "return_dict", "output_attentions",
        "output_hidden_states", "use_return_dict", "attn_implementation", "use_flash_attn", "pretraining_tp", "ep_size",
        "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "decoder_start_token_id",
        "forced_bos_token_id", "forced_eos_token_id", "initializer_range", "initializer_factor", "use_mup", "embedding_initializer_range",
        "attention_dropout", "attention_probs_dropout_prob", "hidden_dropout", "hidden_dropout_prob", "embedding_dropout", "residual_dropout",
        "resid_pdrop", "embd_pdrop", "attn_pdrop", "ffn_pdrop", "classifier_dropout", "dropout", "layerdrop", "router_jitter_noise",
        "output_router_logits", "router_aux_loss_coef", "router_z_loss_coef", "aux_loss_alpha", "seq_aux",
        "task_specific_params", "problem_type", "finetuning_task", "num_labels", "id2label", "label2id", "prefix", "chunk_size_feed_forward",
        "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k",
        "top_p", "min_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
        "bad_words_ids", "num_return_sequences", "begin_suppress_tokens", "suppress_tokens", "remove_invalid_values",
        "exponential_decay_length_penalty", "pruned_heads", "unsloth_version", "unsloth_fixed",
        "is_llama_config", "transformers.js_config", "max_sequence_length", "neftune_noise_alpha",
    };

    public static bool Contains(string key) =>
        Names.Contains(key) || key.StartsWith('_') || key.StartsWith("summary_", StringComparison.Ordinal);
}
