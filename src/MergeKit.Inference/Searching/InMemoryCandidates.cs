using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Searching;

/// <summary>Candidates merged in memory and run on the CPU: the parents are opened once, and each candidate takes the place of the one before.</summary>
public sealed class InMemoryCandidates : ICandidateModels, IDisposable
{
    private readonly string _file;
    private MergedModel? _model;

    private InMemoryCandidates(string file, MergePlan opened, Tokenizer tokenizer)
    {
        (_file, Opened) = (file, opened);
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

    private LanguageModel Model => _model!.Model;

    /// <summary>Opens all models of a search.</summary>
    /// <param name="file">The document's file: relative paths start there.</param>
    /// <param name="recipe">A merge of all models, the one first whose configuration and tokenizer count.</param>
    /// <param name="options">Folder, seed, threads and chunks.</param>
    /// <exception cref="InputException">Models that cannot be merged with each other, or not be run.</exception>
    public static InMemoryCandidates Open(string file, Recipe recipe, PlanOptions options)
    {
        var plan = MergePlanner.Plan(recipe, options with { OutputFolder = null });
        try
        {
            if (!plan.IsExecutable)
                throw new InputException(plan.Problems);
            var candidates = new InMemoryCandidates(file, plan, ResultTokenizer(plan));
            candidates._model = MergedModel.Open("start", plan, threads: options.Threads);
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
            var other = MergedModel.Open(name, plan, threads: plan.Options.Threads);
            _model!.Dispose();
            _model = other;
        }

        return new EvaluatedModel(Model, Encoder, Encoder.Id);
    }

    /// <summary>A model of a recipe that stays beside the candidates; the caller disposes of it.</summary>
    public MergedModel Keep(string name, string yaml)
    {
        using var plan = Replan(yaml);
        return MergedModel.Open(name, plan, threads: plan.Options.Threads);
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

    private MergePlan Replan(string yaml)
    {
        var plan = MergePlanner.Replan(Opened, RecipeReader.Parse(_file, yaml)[0]);
        return plan.IsExecutable ? plan : throw new InputException(plan.Problems);
    }
}
