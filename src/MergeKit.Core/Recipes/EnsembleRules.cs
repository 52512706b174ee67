namespace MergeKit.Core.Recipes;

/// <summary>A rule by which laws are combined, as recipes and their schema need to know it.</summary>
/// <param name="Name">As recipes spell it.</param>
/// <param name="Summary">What it does, in a sentence, with its source.</param>
/// <param name="Parameters">The names of its parameters.</param>
public sealed record EnsembleRule(string Name, string Summary, params IReadOnlyList<string> Parameters)
{
    /// <summary>Whether every member has a weight.</summary>
    public bool HasWeights { get; init; }

    /// <summary>Whether weights may be negative.</summary>
    public bool TakesNegativeWeights { get; init; }

    /// <summary>The forms between which <c>variant</c> chooses, the first if it is not given.</summary>
    public IReadOnlyList<string> Variants { get; init; } = [];

    /// <summary>The members' parts in the order of the rule's places; empty where all members are alike. <c>base</c> is the recipe's <c>base_model</c>.</summary>
    public IReadOnlyList<string> Roles { get; init; } = [];

    /// <summary>The part that may be left out: then the base plays it.</summary>
    public string? OptionalRole { get; init; }
}

/// <summary>All rules.</summary>
public static class EnsembleRules
{
    /// <summary>The name of the part that <c>base_model</c> plays.</summary>
    public const string BaseRole = "base";

    /// <summary>The ways to bring different vocabularies together.</summary>
    public static IReadOnlyList<string> VocabularyModes { get; } = ["identical", "intersection", "union", "topk_union", "mined", "bytes"];

    /// <summary>The ways to run members.</summary>
    public static IReadOnlyList<string> Executions { get; } = ["auto", "sequential", "streams", "devices"];

    /// <summary>Every rule.</summary>
    public static IReadOnlyList<EnsembleRule> All { get; } =
    [
        new("linear", "The weighted mean of the members' probabilities (Jelinek and Mercer 1980).") { HasWeights = true },
        new("log_linear", "The product of powers of the members' probabilities; a negative weight is negative evidence (Klakow 1998; Heafield et al. 2016).", "negative_floor")
        { HasWeights = true, TakesNegativeWeights = true },
        new("posterior", "A mean whose weights follow how well each member predicted so far (Herbster and Warmuth 1998).", "temper", "share") { HasWeights = true },
        new("gated", "A mean whose weights a gate chooses at every step from what the members' laws look like."),
        new("perplexity", "A mean of logits, members trusted as far as they understand the prompt (PackLLM, Mavromatis et al. 2024).", "variant", "tau", "steps") { Variants = ["softmax", "greedy"] },
        new("dexperts", "A base steered by the difference of two smaller models (Liu et al. 2021, 2024).", "alpha", "base_top_p")
        { Roles = [BaseRole, "expert", "antiexpert"], OptionalRole = "antiexpert" },
        new("domain_differential", "A task model moved by the difference of two domains (Dou et al. 2019).", "beta") { Roles = [BaseRole, "in_domain", "out_domain"] },
        new("contrastive", "What an expert finds plausible, by how much more it does than an amateur (Li et al. 2022; O'Brien and Lewis 2023).",
            "variant", "alpha", "beta", "amateur_temperature", "negative_floor")
        { Roles = ["expert", "amateur"], Variants = ["difference", "weighted"] },
        new("context_aware", "One model with and without a context (Shi et al. 2023).", "alpha"),
    ];

    /// <summary>A rule by its name; null for none.</summary>
    public static EnsembleRule? Find(string name) => All.FirstOrDefault(rule => rule.Name == name);
}
