using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Models;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Workflows;
using MergeKit.Inference.Checking;

namespace MergeKit.Inference.Ensembles;

/// <summary>A language model of whatever kind, with what is needed to give it text.</summary>
/// <param name="model">The model.</param>
/// <param name="encoder">Text to its ids and back.</param>
/// <param name="tokenizerId">Equal for models with equal ids.</param>
public sealed class OpenedModel(ILanguageModel model, ITextEncoder encoder, string tokenizerId) : IDisposable
{
    private readonly Stack<IDisposable> _owned = [];

    /// <summary>The model.</summary>
    public ILanguageModel Model => model;

    /// <summary>Text to ids and back.</summary>
    public ITextEncoder Encoder => encoder;

    /// <summary>Equal for models with equal ids.</summary>
    public string TokenizerId => tokenizerId;

    /// <summary>The tokenizer, where all ids are its own.</summary>
    public Tokenizer? Tokenizer { get; init; }

    /// <summary>The folder with chat template and generation settings; null where there is none.</summary>
    public string? Folder { get; init; }

    /// <summary>Bytes of weights that one step reads.</summary>
    public long WeightBytes { get; init; }

    /// <summary>For an ensemble of models that were trained on resamples: which member on which, place by place.</summary>
    public MemberBags? Bags { get; init; }

    /// <summary>What was odd but usable.</summary>
    public IReadOnlyList<Problem> Warnings { get; init; } = [];

    /// <summary>What can be said only after it has been used.</summary>
    public Func<IEnumerable<Problem>> Remarks { get; init; } = () => [];

    /// <summary>The model as evaluation wants it.</summary>
    public EvaluatedModel ForEvaluation() => new(model, encoder, tokenizerId);

    /// <summary>A model folder.</summary>
    public static OpenedModel Of(ModelFolder folder)
    {
        var encoder = new TokenizerEncoder(folder.Tokenizer);
        return new OpenedModel(folder.Model, encoder, encoder.Id)
        {
            Tokenizer = folder.Tokenizer,
            Folder = folder.Folder,
            WeightBytes = folder.Model.WeightBytes,
            Warnings = [.. folder.Warnings],
        };
    }

    /// <summary>The ids that end a text.</summary>
    public IReadOnlySet<int> EndIds() => Tokenizer is { } own && Folder is { } folder ? EndTokens.Of(folder, own)
        : encoder.EosId is { } id ? new HashSet<int> { id } : new HashSet<int>();

    /// <summary>Text of ids as they come.</summary>
    public TextPieces OpenText() => new(this);

    /// <summary>Ties something to the model's life: it is disposed of after the model, the last one first.</summary>
    public OpenedModel Own(params IEnumerable<IDisposable> parts)
    {
        foreach (var part in parts)
            _owned.Push(part);
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        model.Dispose();
        while (_owned.TryPop(out var part))
            part.Dispose();
    }
}
