using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Execution;

/// <summary>A named document's result that is not written: its tensors are worked out when a later document reads them. Costs time where a method
/// reads its inputs several times, and no disk. Where it is read again and again, as by a search, it is worked out once and kept in memory.</summary>
public sealed class StageModel : IDisposable
{
    private readonly JobWorkers _workers;
    private IReadOnlyList<TensorInfo> _tensors;
    private MemoryMerge? _memory;

    /// <summary>The result of a plan that can be carried out; takes it over.</summary>
    public StageModel(MergePlan plan)
    {
        Plan = plan;
        _workers = new JobWorkers(plan.RowsPerWorker, plan.ChunkElements, plan.Options.Decomposer);
        _tensors = [.. plan.Jobs.Select(job => TensorInfo.Made(job.Name, job.OutputType, job.Shape, Name, new JobContent(job, plan.Options.Seed, _workers)))];
        Identity = InputIdentity.Take(plan);
    }

    /// <summary>The plan.</summary>
    public MergePlan Plan { get; }

    /// <summary>The document's name.</summary>
    public string Name => Plan.Recipe.Name!;

    /// <summary>Equal for equal work.</summary>
    public string Identity { get; }

    /// <summary>The stored models that it is made of, directly or through other stages.</summary>
    public IEnumerable<LoadedModel> Origins => Plan.Models.SelectMany(model => model.Stage?.Origins ?? [model]).DistinctBy(model => model.Source);

    /// <summary>Whether a document's result can do without being written: a merge that takes over its base's tokenizer.</summary>
    public static bool CanHold(Recipe recipe) => recipe is { Tokenizer: null, ChatTemplate: null, Moe: null, Collapse: null };

    /// <summary>Works all tensors out now and keeps them in memory, in the types and with the bits of the checkpoint that would be written. Models lent before are as they were.</summary>
    /// <exception cref="Diagnostics.EnvironmentException">There is not enough memory.</exception>
    public void Realise(CancellationToken cancellation = default)
    {
        if (_memory is not null)
            return;
        var memory = new MemoryMerge(Plan);
        try
        {
            memory.Fill(Plan, cancellation);
        }
        catch
        {
            memory.Dispose();
            throw;
        }

        _memory = memory;
        _tensors = [.. _tensors.Select(tensor => tensor with { Content = new MemoryContent(memory.Find(tensor.Name)!.Value) })];
    }

    /// <summary>The result as a model, for one plan; it lives as long as the stage.</summary>
    internal ModelInput Lend()
    {
        var config = Plan.ConfigJson is { } json ? ModelConfig.Of(Name, (JsonObject)JsonNode.Parse(json)!) : null;
        var files = Plan.Models.SelectMany(model => model.Checkpoint.Files).DistinctBy(file => file.File).ToList();
        return new ModelInput(Plan.Template?.Folder ?? "", config, new Checkpoint(Name, files, _tensors, [])) { Source = Name };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _workers.Dispose();
        _memory?.Dispose();
        Plan.Dispose();
    }
}
