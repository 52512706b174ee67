using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Every output tensor decided and every problem found. No tensor data has been read.</summary>
public sealed class MergePlan : IDisposable
{
    private const int MostChunkElements = 1 << 24;

    private readonly bool _ownsModels;

    internal MergePlan(Recipe recipe, PlanOptions options, bool ownsModels = true) =>
        (Recipe, Options, _ownsModels, Statistics) = (recipe, options, ownsModels, new StatisticsFiles(options, recipe.File));

    /// <summary>The statistics files that were opened.</summary>
    internal StatisticsFiles Statistics { get; }

    /// <summary>What the user wrote.</summary>
    public Recipe Recipe { get; internal set; }

    /// <summary>What the command line added.</summary>
    public PlanOptions Options { get; }

    /// <summary>The models that could be opened.</summary>
    public IReadOnlyList<LoadedModel> Models { get; internal set; } = [];

    /// <summary>Models that are not merged: rules for single tokens take rows from them.</summary>
    public IReadOnlyList<LoadedModel> Lenders { get; internal set; } = [];

    /// <summary>The models by folder, each with its name: the experts of a mixture that is taken apart count as one.</summary>
    public IReadOnlyList<(string Name, LoadedModel Model)> Inputs =>
        [.. Models.Select(model => (Name: Recipe.Collapse is { } collapse && !model.Reference.Equals(Recipe.BaseModel) ? collapse.Mixture.ToString() : model.ToString(), model)).DistinctBy(pair => pair.Name)];

    /// <summary>The model whose configuration the result gets, and whose tokenizer unless the recipe says otherwise.</summary>
    public LoadedModel? Template { get; internal set; }

    /// <summary>The result's vocabulary where the recipe sets it; null: rows stay as they are numbered.</summary>
    public VocabularyPlan? Vocabulary { get; internal set; }

    /// <summary>The output tensors in the order they are written.</summary>
    public IReadOnlyList<TensorJob> Jobs { get; internal set; } = [];

    /// <summary>Everything found, errors first.</summary>
    public IReadOnlyList<Problem> Problems { get; internal set; } = [];

    /// <summary>The result's config.json; null for raw state dicts.</summary>
    public string? ConfigJson { get; internal set; }

    /// <summary>Files copied beside the weights: name in the result to source path.</summary>
    public IReadOnlyDictionary<string, string> Copies { get; internal set; } = new Dictionary<string, string>();

    /// <summary>Small text files written beside the weights: name to text.</summary>
    public IReadOnlyDictionary<string, string> Texts { get; internal set; } = new Dictionary<string, string>();

    /// <summary>The output files and where each tensor lies in them.</summary>
    public ShardLayout? Layout { get; internal set; }

    /// <summary>Those of the errors that are the machine's, not the input's: too little disk or memory.</summary>
    public IReadOnlyList<Problem> Shortages { get; internal set; } = [];

    /// <summary>Whether the plan can be carried out.</summary>
    public bool IsExecutable => Problems.All(problem => problem.Severity != Severity.Error);

    /// <summary>Elements of all output tensors.</summary>
    public long Parameters => Jobs.Sum(job => job.Count);

    /// <summary>Bytes of all output tensors.</summary>
    public long OutputBytes => Jobs.Sum(job => job.ByteLength);

    /// <summary>Bytes that are read at least once.</summary>
    public long InputBytes => Jobs.Sum(job => job.Sources.Sum(source => source.Data.Count * source.Data.Type.Size()));

    /// <summary>Working memory of the merge in bytes, mapped file pages and the runtime apart.</summary>
    public long WorkingBytes => Options.Threads * Execution.WorkerBuffers.Size(RowsPerWorker, ChunkElements)
        + Models.Sum(model => model.Stage?.Plan.WorkingBytes ?? 0)
        + Jobs.Select(job => job.Method.WorkingBytes(job, Options.Threads)).OrderDescending().Take(Options.Threads).Sum();

    /// <summary>What decomposing matrices costs; null where none is decomposed.</summary>
    public MatrixCost? Matrices => MatrixCost.Of(this);

    /// <summary>Rows of floats that each worker needs: sources, scratch, result.</summary>
    public int RowsPerWorker => Jobs.Select(job => job.Sources.Count).DefaultIfEmpty(1).Max() + Chunk.ScratchRows + 1;

    /// <summary>Elements of one chunk: the option, rounded up to whole summation blocks, and no more than 2^24.</summary>
    public int ChunkElements =>
        (Math.Clamp(Options.ChunkElements, 1, MostChunkElements) + TensorInputs.BlockElements - 1) / TensorInputs.BlockElements * TensorInputs.BlockElements;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var model in Models.Concat(Lenders).Where(_ => _ownsModels))
            model.Checkpoint.Dispose();
        Statistics.Dispose();
    }
}
