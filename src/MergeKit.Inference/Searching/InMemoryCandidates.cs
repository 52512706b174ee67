using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Searching;

/// <summary>Candidates merged in memory: the parents are opened once, and each candidate takes the place of the one before. On a GPU the parents lie there and
/// candidates are merged in the engine's weights.</summary>
public sealed class InMemoryCandidates : ICandidateModels, IDisposable
{
    private readonly string _file;
    private readonly DeviceChoice _device;
    private readonly List<string> _notes = [];
    private MergedModel? _model;

    private InMemoryCandidates(string file, MergePlan opened, Tokenizer tokenizer, DeviceChoice device)
    {
        (_file, Opened, _device) = (file, opened, device);
        Encoder = new TokenizerEncoder(tokenizer);
    }

    /// <summary>The plan that opened all models.</summary>
    public MergePlan Opened { get; }

    /// <summary>The candidates' tokenizer: the template model's.</summary>
    public TokenizerEncoder Encoder { get; }

    /// <inheritdoc/>
    public int Layers => Opened.Template!.LayerCount;

    /// <summary>The candidates' context.</summary>
    public int MaxLength => Model.MaxLength;

    /// <summary>The candidates' number of ids.</summary>
    public int VocabularySize => Model.VocabularySize;

    /// <summary>Whether candidates are merged and run on a GPU.</summary>
    public bool OnDevice => _model is { OnDevice: true };

    /// <summary>What should be known about where candidates were merged and run, each once.</summary>
    public IReadOnlyList<string> Notes => _notes;

    private LanguageModel Model => _model!.Model;

    /// <summary>Opens all models of a search.</summary>
    /// <param name="file">The document's file: relative paths start there.</param>
    /// <param name="recipe">A merge of all models, the one first whose configuration and tokenizer count.</param>
    /// <param name="options">Folder, seed, threads and chunks.</param>
    /// <param name="device">Where candidates are merged and run.</param>
    /// <exception cref="InputException">Models that cannot be merged with each other, or not be run.</exception>
    /// <exception cref="EnvironmentException">The device was asked for by name and cannot be used, or has too little memory for parents and candidate.</exception>
    public static InMemoryCandidates Open(string file, Recipe recipe, PlanOptions options, DeviceChoice device = default)
    {
        var plan = MergePlanner.Plan(recipe, options with { OutputFolder = null });
        try
        {
            if (!plan.IsExecutable)
                throw new InputException([.. plan.Problems.Where(problem => problem.Severity == Severity.Error)]);
            var candidates = new InMemoryCandidates(file, plan, ResultTokenizer(plan), device);
            candidates._model = candidates.Make("start", plan);
            return candidates;
        }
        catch
        {
            plan.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public EvaluatedModel Build(string name, string yaml)
    {
        using var plan = Replan(yaml);
        try
        {
            _model!.Rebuild(plan);
        }
        catch (InputException) when (plan.IsExecutable)
        {
            // On a GPU there may be no room for both.
            var other = OnDevice ? null : Make(name, plan);
            _model!.Dispose();
            _model = other ?? Make(name, plan);
        }

        Note(_model.Notes);
        return new EvaluatedModel(Model, Encoder, Encoder.Id);
    }

    /// <summary>A model of a recipe that stays beside the candidates; the caller disposes of it.</summary>
    public MergedModel Keep(string name, string yaml)
    {
        using var plan = Replan(yaml);
        return OnChosen(device => MergedModel.OpenOnce(name, plan, device, plan.Options.Threads));
    }

    /// <summary>Opens a model on the device; where that lacks the room for it, on the CPU, with a note.</summary>
    public T OnChosen<T>(Func<DeviceChoice, T> open)
    {
        try
        {
            return open(_device);
        }
        catch (EnvironmentException e) when (_device.Cuda is not null)
        {
            Note([Problem.Warning(e.Message)]);
            return open(DeviceChoice.Cpu);
        }
    }

    /// <summary>Gives back what candidates take on a GPU; no more are made.</summary>
    public void Finish()
    {
        if (OnDevice)
            _model!.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model?.Dispose();
        Opened.Dispose();
    }

    /// <summary>The tokenizer that the written result would have: written anew where the vocabulary changes, else a model's.</summary>
    private static Tokenizer ResultTokenizer(MergePlan plan) => plan.Texts.TryGetValue("tokenizer.json", out var text)
        ? Tokenizer.Parse("tokenizer.json", text, plan.Texts.GetValueOrDefault("tokenizer_config.json"))
        : Tokenizer.Load(plan.Vocabulary?.Folder ?? plan.Template!.Folder);

    private MergedModel Make(string name, MergePlan plan)
    {
        var model = MergedModel.Open(name, plan, _device, plan.Options.Threads);
        Note(model.Model.Warnings);
        return model;
    }

    private void Note(IEnumerable<Problem> problems) => _notes.AddRange(problems.Select(problem => problem.Message).Where(message => !_notes.Contains(message)));

    private MergePlan Replan(string yaml)
    {
        var plan = MergePlanner.Replan(Opened, RecipeReader.Parse(_file, yaml)[0]);
        return plan.IsExecutable ? plan : throw new InputException(plan.Problems);
    }
}
