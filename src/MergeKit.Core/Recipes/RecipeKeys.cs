namespace MergeKit.Core.Recipes;

/// <summary>Every key of a merge recipe, declared once.</summary>
public static class RecipeKeys
{
    private static readonly RecipeKey ModelKey = new("model", KeyType.Model, "The model: a folder, organisation/name, name@revision or model+adapter.", Required: true);

    /// <summary>The mapping form of a model's statistics.</summary>
    public static KeyTable StatisticsRequest { get; } = new("statisticsRequest", "a model's statistics",
    [
        new("data", KeyType.TextOrTexts, "Texts to run the model on (as for 'evaluate'); best some on which it is good.", Required: true),
        new("file", KeyType.Text, "The safetensors file to keep them in; in the user's cache where not given. Once made it is used again."),
        new("max_tokens", KeyType.Count, "Stop after so many tokens; 100,000 where not given."),
        new("window", KeyType.Count, "Tokens of one sequence; 512 where not given."),
        new("labels", KeyType.Text, "For fisher: sampled (drawn from the model, the default) or text (the empirical Fisher).") { Choices = Recipes.StatisticsRequest.LabelNames },
        new("per", KeyType.Text, "For fisher: sequence (one gradient per sequence, the default) or token (one per token: exact, and as many times the work).") { Choices = Recipes.StatisticsRequest.ExampleNames },
        new("seed", KeyType.Index, "For fisher: decides the sampled labels."),
    ]);

    private static readonly RecipeKey Statistics = new("statistics", KeyType.TextOrMapping, "The model's statistics, for the methods fisher and regmean: a safetensors file (or folder of them), or the texts to record them on.", Table: StatisticsRequest);

    /// <summary>The mapping form of a model's path.</summary>
    public static KeyTable ModelPath { get; } = new("modelPath", "a model path",
    [
        new("path", KeyType.Text, "A folder, a file or a hub id.", Required: true),
        new("revision", KeyType.Text, "Branch, tag or commit of a hub model."),
    ]);

    /// <summary>The mapping form of a model.</summary>
    public static KeyTable Model { get; } = new("modelReference", "a model reference",
    [
        new("model", KeyType.ModelPath, "The model itself: path[@revision], or a mapping with path and revision.", Required: true, ModelPath),
        new("lora", KeyType.ModelPath, "A LoRA adapter that is folded into the model when it is read.", Table: ModelPath),
        new("override_architecture", KeyType.Text, "The architecture to assume instead of the one in the model's config."),
    ]);

    /// <summary>An entry of <c>models:</c>.</summary>
    public static KeyTable ModelEntry { get; } = new("modelEntry", "an entry of 'models'",
    [
        ModelKey,
        new("parameters", KeyType.Parameters, "Parameters of this model."),
        Statistics,
    ]);

    /// <summary>An entry of a slice's <c>sources:</c>.</summary>
    public static KeyTable Source { get; } = new("source", "a source of a slice",
    [
        ModelKey,
        new("layer_range", KeyType.LayerRange, "The layers [a, b): a is the first, b one past the last, counted from zero.", Required: true),
        new("parameters", KeyType.Parameters, "Parameters of this model in this slice."),
        Statistics,
    ]);

    /// <summary>An entry of <c>slices:</c>.</summary>
    public static KeyTable Slice { get; } = new("slice", "a slice",
    [
        new("sources", KeyType.List, "The models and layers that are merged into this slice; equally many layers of each.", Required: true, Source),
        new("base_model", KeyType.Model, "The base model within this slice."),
        new("parameters", KeyType.Parameters, "Parameters of this slice."),
        new("residual_weight", KeyType.Number, "Has no effect; taken because mergekit takes it."),
    ]);

    /// <summary>An entry of <c>modules:</c>.</summary>
    public static KeyTable Module { get; } = new("module", "a module",
    [
        new("models", KeyType.List, "The models to merge, all layers of each.", Table: ModelEntry),
        new("slices", KeyType.List, "The output's layers from bottom to top, in runs.", Table: Slice),
        new("parameters", KeyType.Parameters, "Parameters of this module."),
    ]);

    /// <summary>A source of a token's row.</summary>
    public static KeyTable TokenSource { get; } = new("tokenSource", "a token's source",
    [
        new("kind", KeyType.Text, "model_token (a token's row in a model) or zero."),
        new("model", KeyType.Model, "The model that has the row."),
        new("token", KeyType.Text, "The token whose row is taken, by its text."),
        new("token_id", KeyType.Index, "The token whose row is taken, by its number."),
        new("lora", KeyType.ModelPath, "A LoRA adapter that is folded into the model when it is read.", Table: ModelPath),
        new("override_architecture", KeyType.Text, "The architecture to assume instead of the one in the model's config."),
    ]);

    /// <summary>A rule for one token.</summary>
    public static KeyTable TokenRule { get; } = new("tokenRule", "a token's rule",
    [
        new("source", KeyType.TokenSource, "Where the row comes from that models without the token get.", Table: TokenSource),
        new("force", KeyType.Boolean, "Use the row for all models, also for those that have the token."),
    ]);

    /// <summary>The value of <c>tokenizer:</c>.</summary>
    public static KeyTable Tokenizer { get; } = new("tokenizer", "the tokenizer setting",
    [
        new("source", KeyType.TokenizerSource, "union (default), base, or a model whose tokenizer is taken."),
        new("tokens", KeyType.Map, "Rules for single tokens.", Table: TokenRule),
        new("pad_to_multiple_of", KeyType.Count, "Round the number of embedding rows up to a multiple of this."),
    ]);

    /// <summary>A condition on tensor names.</summary>
    public static KeyTable Condition { get; } = new("condition", "a condition",
    [
        new("filter", KeyType.Text, "A part of the tensor's name; '*' or nothing matches every tensor."),
        new("value", KeyType.ParameterValue, "The value for these tensors.", Required: true),
    ]);

    /// <summary>A merge recipe.</summary>
    public static KeyTable Recipe { get; } = new("recipe", "a recipe",
    [
        new("merge_method", KeyType.Method, "How the models are combined.", Required: true),
        new("models", KeyType.List, "The models to merge, all layers of each.", Table: ModelEntry),
        new("slices", KeyType.List, "The output's layers from bottom to top, in runs.", Table: Slice),
        new("modules", KeyType.Map, "Models or slices for each module of the architecture, by its name.", Table: Module),
        new("base_model", KeyType.Model, "The common ancestor of the fine-tunes; for slerp the end at t = 0."),
        new("parameters", KeyType.Parameters, "Parameters for the whole merge."),
        new("dtype", KeyType.DType, "Every tensor is converted to this type when it is read."),
        new("out_dtype", KeyType.DType, "The type of the written tensors."),
        new("tokenizer_source", KeyType.TokenizerSource, "Short for tokenizer: {source: ...}."),
        new("tokenizer", KeyType.Mapping, "How the vocabularies of the models are brought together.", Table: Tokenizer),
        new("chat_template", KeyType.ChatTemplate, "auto, a known name or the text of a Jinja template."),
        new("name", KeyType.Text, "The result's name, by which other documents of this file may use it as a model."),
    ]);

    /// <summary>All tables.</summary>
    public static IReadOnlyList<KeyTable> All { get; } =
        [Recipe, Module, Slice, Source, ModelEntry, StatisticsRequest, Tokenizer, TokenRule, TokenSource, Condition, Model, ModelPath];
}
