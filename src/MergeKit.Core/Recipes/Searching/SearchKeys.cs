namespace MergeKit.Core.Recipes.Searching;

/// <summary>Every key of a search document, declared once.</summary>
internal static class SearchKeys
{
    /// <summary>An entry of tune, test or control.</summary>
    public static KeyTable Data { get; } = new("searchData", "a data set of a search",
    [
        new("data", KeyType.Text, "A UTF-8 text, or JSONL of texts, multiple-choice or exact-match items.", Required: true),
        new("name", KeyType.Text, "What to call the data set in tables."),
        new("weight", KeyType.Number, "Its share in the objective; 1 where it is left out."),
        new("metric", KeyType.Text, "bits_per_byte for texts; acc, acc_norm, acc_bytes, prob or brier for multiple choice; exact_match."),
        new("limit", KeyType.Count, "Only the first so many items."),
        new("tokens", KeyType.Count, "Only about so many tokens of a text, spread evenly over it."),
    ]);

    /// <summary>An entry of models.</summary>
    public static KeyTable Model { get; } = new("searchModel", "a model of a search",
        [new("model", KeyType.Model, "A model folder.", Required: true)]);

    private static readonly RecipeKey[] Running =
    [
        new("name", KeyType.Text, "The result's name, by which other documents of this file may use it as a model."),
        new("tune", KeyType.List, "The data that candidates are scored on; never report on them.", Required: true, Data),
        new("test", KeyType.List, "Data that are opened once, at the end, to compare the winner with its parents.", Table: Data),
        new("candidates", KeyType.Count, "For grid, random, cma_es, learned_soup and nsga2: the most candidates; 100 where it is left out."),
        new("population", KeyType.Count, "Candidates per generation of cma_es, learned_soup and nsga2."),
        new("seed", KeyType.Index, "The key of all randomness."),
        new("racing", KeyType.Boolean, "Give up candidates that are losing by paired partial scores (default true)."),
        new("dtype", KeyType.DType, "The written recipe's dtype, where the document holds no recipe."),
        new("out_dtype", KeyType.DType, "The written recipe's out_dtype, where the document holds no recipe."),
    ];

    /// <summary>A document with <c>search:</c>.</summary>
    public static KeyTable Search { get; } = new("search", "a search document",
    [
        new("search", KeyType.Text, "How to look: uniform_soup, greedy_soup, learned_soup, scale, grid, random, cma_es or nsga2.", Required: true),
        new("recipe", KeyType.Template, "For grid, random, cma_es and nsga2: a merge recipe with marked parameters, as in weight: {search: [0, 1]}."),
        new("models", KeyType.List, "For soups and scale: the models.", Table: Model),
        new("base_model", KeyType.Model, "The base of the task vectors; for other kinds one more model to compare with."),
        new("accept", KeyType.Text, "For greedy_soup: strict (default: the score must improve) or non_worse."),
        new("task", KeyType.Text, "For scale: addition (default), negation or analogy."),
        new("scales", KeyType.NumberList, "For scale: the scales to try; 0, 0.05 ... 1 where they are left out."),
        new("control", KeyType.List, "For scale: data on which the result must keep its score.", Table: Data),
        new("keep", KeyType.Number, "For scale: the share of the control score to keep; 0.95 where it is left out."),
        .. Running,
    ]);

    /// <summary>The value of <c>genome:</c>, as in mergekit-evolve.</summary>
    public static KeyTable Genome { get; } = new("genome", "a genome",
    [
        new("models", KeyType.ModelList, "The models.", Required: true),
        new("merge_method", KeyType.Text, "linear, task_arithmetic, ties, dare_ties or slerp.", Required: true),
        new("base_model", KeyType.Model, "The common ancestor of the models."),
        new("tokenizer_source", KeyType.Text, "union, base or a model."),
        new("layer_granularity", KeyType.Index, "Layers per group with values of its own; 0 (default): one group."),
        new("normalize", KeyType.Boolean, "The method's normalize."),
        new("allow_negative_weights", KeyType.Boolean, "Whether weights may be negative (default false)."),
        new("filters", KeyType.TextList, "Parts of tensor names with values of their own."),
        new("smooth", KeyType.Boolean, "Interpolate the values over the layers instead of steps."),
    ]);

    /// <summary>An entry of <c>tasks:</c>.</summary>
    public static KeyTable Task { get; } = new("searchTask", "an entry of 'tasks'",
    [
        new("name", KeyType.Text, "A file of evaluation data.", Required: true),
        new("weight", KeyType.Number, "Its share in the objective; 1 where it is left out."),
        new("metric", KeyType.Text, "The metric, as in acc,none."),
    ]);

    /// <summary>A document with <c>genome:</c>.</summary>
    public static KeyTable Evolution { get; } = new("evolution", "an evolution document",
    [
        new("genome", KeyType.Mapping, "What may vary.", Required: true, Genome),
        new("tasks", KeyType.TaskList, "mergekit-evolve's tasks; here files of evaluation data. Either these or 'tune' must be given.", Table: Task),
        new("limit", KeyType.Count, "Only the first so many items of every task."),
        new("num_fewshot", KeyType.Index, "Taken because mergekit-evolve takes it; only 0 works on files."),
        new("shuffle", KeyType.Boolean, "Has no effect; taken because mergekit-evolve takes it."),
        new("random_init", KeyType.Boolean, "Begin at random values instead of the uniform mean."),
        new("apply_chat_template", KeyType.Boolean, "Has no effect on files; taken because mergekit-evolve takes it."),
        new("fewshot_as_multiturn", KeyType.Boolean, "Has no effect on files; taken because mergekit-evolve takes it."),
        .. Running.Where(key => key.Name is not "dtype").Select(key => key with { Required = false }),
    ]);

    /// <summary>All tables of the two documents, for the schema and for hints.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Search, Evolution, Genome, Task, Data, Model, SearchMarks.Table];
}
