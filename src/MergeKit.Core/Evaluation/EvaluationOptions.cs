using MergeKit.Core.Models;

namespace MergeKit.Core.Evaluation;

/// <summary>What stands before a window of text that is not the first of its document.</summary>
public enum WindowContext
{
    /// <summary>The prefix token (BOS, else EOS): every window is a sequence of its own.</summary>
    PrefixToken,

    /// <summary>The last token of the window before, as in lm-evaluation-harness.</summary>
    PreviousToken,
}

/// <summary>How to evaluate.</summary>
public sealed record EvaluationOptions
{
    /// <summary>What stands before later windows of a long text.</summary>
    public WindowContext Windows { get; init; } = WindowContext.PrefixToken;

    /// <summary>Puts BOS before every context when the tokenizer has one, even if it would not add it by itself.</summary>
    public bool AlwaysBos { get; init; } = true;

    /// <summary>The most tokens generated for an item of exact match.</summary>
    public int MaxNewTokens { get; init; } = 32;

    /// <summary>Also scores choices without context, for <c>acc_mutual_info</c>.</summary>
    public bool MutualInformation { get; init; }

    /// <summary>The metric by which models are compared on multiple choice, and which comes first: <c>acc</c>, <c>acc_norm</c>, <c>acc_bytes</c>, <c>prob</c> or <c>brier</c>.</summary>
    public string ChoiceMetric { get; init; } = "acc";

    /// <summary>Only the first items of each data set; null: all.</summary>
    public int? Limit { get; init; }

    /// <summary>Resamples of every bootstrap.</summary>
    public int BootstrapDraws { get; init; } = 10_000;

    /// <summary>The key of the bootstraps' randomness.</summary>
    public ulong Seed { get; init; }

    /// <summary>The model that the others are compared with, by name; null: the first.</summary>
    public string? Baseline { get; init; }

    /// <summary>Requests handed to a model at once.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Called now and then while work goes on.</summary>
    public Action<EvaluationProgress>? Progress { get; init; }
}

/// <summary>How far a model is with a data set.</summary>
public readonly record struct EvaluationProgress(string Model, string DataSet, int Done, int Total);

/// <summary>A model under evaluation.</summary>
/// <param name="Model">The model; its name is used in tables and must be unique.</param>
/// <param name="Encoder">Its tokenizer.</param>
/// <param name="TokenizerId">Equal for models whose tokenizers are equal, such as a hash of the vocabulary; decides whether token counts may be compared.</param>
public sealed record EvaluatedModel(ILanguageModel Model, ITextEncoder Encoder, string TokenizerId)
{
    /// <summary>The model's name.</summary>
    public string Name => Model.Name;
}
