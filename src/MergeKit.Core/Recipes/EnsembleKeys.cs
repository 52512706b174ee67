namespace MergeKit.Core.Recipes;

/// <summary>Every key of an ensemble document.</summary>
internal static class EnsembleKeys
{
    private static readonly IReadOnlyList<string> Roles = [.. EnsembleRules.All.SelectMany(rule => rule.Roles).Where(role => role != EnsembleRules.BaseRole).Distinct()];

    public static KeyTable MemberParameters { get; } = new("ensembleMemberParameters", "a member's parameters",
        [new("weight", KeyType.Number, "The member's weight (linear rules) or lambda (log_linear).")]);

    public static KeyTable Member { get; } = new("ensembleMember", "an entry of 'models'",
    [
        new("model", KeyType.Model, "A model folder, model+adapter, a recipe file, or the name of another document of this file.", Required: true),
        new("parameters", KeyType.Mapping, "Parameters of this member.", Table: MemberParameters),
        new("role", KeyType.Text, "The member's part in dexperts, domain_differential or contrastive.") { Choices = Roles },
        new("dropout", KeyType.Number, "Monte-Carlo dropout: the share of units left out; the member then stands for several passes."),
        new("passes", KeyType.Count, "With dropout: how many passes (8)."),
        new("seed", KeyType.Index, "With dropout: what decides which units (0)."),
        new("bag", KeyType.Index, "With bagging: the number of the resample that this member was trained on."),
    ]);

    public static KeyTable Bagging { get; } = new("ensembleBagging", "'bagging'",
    [
        new("data", KeyType.Text, "The JSONL file of which 'mergekit bag' made the resamples that the members were trained on.", Required: true),
        new("seed", KeyType.Index, "The seed that 'mergekit bag' was given (0)."),
    ]);

    public static KeyTable Vocabulary { get; } = new("ensembleVocabulary", "'vocabulary'",
    [
        new("mode", KeyType.Text, "How members with different tokens are brought together.", Required: true) { Choices = EnsembleRules.VocabularyModes },
        new("pivot", KeyType.Text, "The member whose tokens count, as 'models' names it; the first if not given."),
        new("top_k", KeyType.Count, "topk_union: how many tokens each member proposes (10)."),
        new("max_covers", KeyType.Count, "bytes: how many ways to cut the text into tokens are followed (16)."),
    ]);

    public static KeyTable Parameters { get; } = new("ensembleParameters", "the rule's parameters",
    [
        new("leader_threshold", KeyType.Number, "Where the pivot's largest probability exceeds this, it decides alone and the others are not run."),
        new("alpha", KeyType.Number, "dexperts, context_aware: strength (1 and 0.5). contrastive: how plausible a token must be (0.1)."),
        new("beta", KeyType.Number, "domain_differential, contrastive: strength (0.5)."),
        new("base_top_p", KeyType.Number, "dexperts: only the base's nucleus of this mass is allowed."),
        new("variant", KeyType.Text, "contrastive: difference (default) or weighted. perplexity: softmax (default) or greedy.") { Choices = [.. EnsembleRules.All.SelectMany(rule => rule.Variants)] },
        new("amateur_temperature", KeyType.Number, "contrastive: the amateur's logits are divided by this (1)."),
        new("negative_floor", KeyType.Number, "The least log-probability that negative evidence is taken from (ln 1e-10)."),
        new("temper", KeyType.Number, "posterior: the power of the old weights, 0 to 1 (1)."),
        new("share", KeyType.Number, "posterior: the part shared out evenly after every token (0)."),
        new("tau", KeyType.Number, "perplexity, softmax: the temperature of the trust (1)."),
        new("steps", KeyType.Count, "perplexity, greedy: into how many steps shares are divided (20)."),
    ]);

    public static KeyTable Gate { get; } = new("ensembleGate", "'gate'",
    [
        new("weights", KeyType.Numbers, "One list of weights per member, one weight per feature.", Required: true),
        new("bias", KeyType.Numbers, "One number per member.", Required: true),
    ]);

    public static KeyTable Execution { get; } = new("ensembleExecution", "'execution'",
        [new("members", KeyType.Text, "sequential, streams (at the same time), devices (one NVIDIA GPU each) or auto (default).", Required: true) { Choices = EnsembleRules.Executions }]);

    /// <summary>The document.</summary>
    public static KeyTable Document { get; } = new("ensemble", "an ensemble document",
    [
        new("ensemble", KeyType.Text, "How the members' next-token laws are combined.", Required: true) { Choices = [.. EnsembleRules.All.Select(rule => rule.Name)] },
        new("models", KeyType.List, "The members.", Required: true, Member),
        new("base_model", KeyType.Model, "The model that is steered, in dexperts and domain_differential."),
        new("parameters", KeyType.Mapping, "Parameters of the rule.", Table: Parameters),
        new("vocabulary", KeyType.Mapping, "How members with different tokens are brought together; identical tokens if not given.", Table: Vocabulary),
        new("learn", KeyType.Mapping, "How the weights are learned, by 'mergekit learn'.", Table: LearnReader.Table),
        new("gate", KeyType.Mapping, "gated: the gate.", Table: Gate),
        new("bagging", KeyType.Mapping, "Of which data the members' bags are resamples; 'mergekit uncertainty' then judges each item by the members that were not trained on it.", Table: Bagging),
        new("execution", KeyType.Mapping, "How the members are run.", Table: Execution),
        new("dtype", KeyType.DType, "Members that are models in folders run with weights of this type: float32, bfloat16 or float16; as stored if not given."),
        new("context", KeyType.Text, "context_aware: the text that is put before everything."),
        new("name", KeyType.Text, "The ensemble's name, by which other documents of this file may use it as a model."),
    ]);

    /// <summary>All tables of the document, for the schema and for hints.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Document, Member, MemberParameters, Parameters, Vocabulary, Gate, Bagging, Execution];
}
