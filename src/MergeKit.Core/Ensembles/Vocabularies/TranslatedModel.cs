using MergeKit.Core.Models;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>A member in an ensemble's vocabulary: sequences are translated into its own tokens by their text, its laws are read through a map.</summary>
public sealed class TranslatedModel
{
    private readonly ILanguageModel _inner;
    private readonly Tokenizer _tokenizer;
    private readonly SharedTokens _shared;
    private readonly int[] _sources;
    private readonly int _ownIds;
    private readonly Lock _gate = new();
    private double _keptMass;
    private long _laws;

    private TranslatedModel(ILanguageModel inner, Tokenizer tokenizer, SharedTokens shared, int[] sources, int ownIds) =>
        (_inner, _tokenizer, _shared, _sources, _ownIds) = (inner, tokenizer, shared, sources, ownIds);

    /// <summary>The mean probability that the member gave to the tokens it shares, over all laws so far; 1 before the first.</summary>
    public double KeptMass => _laws == 0 ? 1 : _keptMass / _laws;

    /// <summary>Makes the member.</summary>
    /// <param name="inner">The model; not disposed of here.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="shared">The ensemble's ids.</param>
    /// <param name="sources">Per id of the ensemble the member's id whose logit is read; -1 for none.</param>
    /// <param name="ownIds">So many of the first ids are the member's own and need no translation; 0 for none.</param>
    public static (ILanguageModel Model, TranslatedModel Translation) Create(
        ILanguageModel inner, Tokenizer tokenizer, SharedTokens shared, int[] sources, int ownIds)
    {
        var translation = new TranslatedModel(inner, tokenizer, shared, sources, ownIds);
        return (new StepwiseModel(inner.Name, sources.Length, inner.MaxLength, () => new Source(translation)), translation);
    }

    private void Project(ReadOnlySpan<float> row, Span<float> logits)
    {
        RowProjection.Project(row, _sources, logits);
        var kept = Math.Min(1, RowProjection.KeptMass<float>(row[..Math.Min(row.Length, _tokenizer.VocabularySize)], logits));
        lock (_gate)
            (_keptMass, _laws) = (_keptMass + kept, _laws + 1);
    }

    private bool IsOwn(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
            if (id >= _ownIds)
                return false;
        return true;
    }

    private sealed class Source(TranslatedModel model) : ILawSource
    {
        private readonly SyncedSession _session = new(model._inner.Open());
        private readonly float[] _row = new float[model._inner.VocabularySize];

        public void Next(ReadOnlySpan<int> ids, Span<float> logits)
        {
            _session.Next(model.IsOwn(ids) ? ids : model._shared.Translate(ids, model._tokenizer), _row);
            model.Project(_row, logits);
        }

        public void Dispose() => _session.Dispose();
    }
}
