using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>A model that always reads something before the text: tokens that stand behind the token which begins a text.</summary>
/// <param name="inner">The model; not disposed of here.</param>
/// <param name="prefix">The tokens.</param>
/// <param name="begin">The token that begins a text, if there is one.</param>
public sealed class PrefixedModel(ILanguageModel inner, int[] prefix, int? begin) : ILanguageModel
{
    /// <inheritdoc/>
    public string Name => inner.Name;

    /// <inheritdoc/>
    public int VocabularySize => inner.VocabularySize;

    /// <inheritdoc/>
    public int MaxLength => inner.MaxLength - prefix.Length;

    /// <inheritdoc/>
    public ISession Open() => new Session(this, inner.Open());

    /// <inheritdoc/>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) => inner.Score(Prefixed(requests));

    /// <inheritdoc/>
    public IReadOnlyList<float[]> LogProbs(IReadOnlyList<ScoreRequest> requests) => inner.LogProbs(Prefixed(requests));

    /// <inheritdoc/>
    public ILogitRows Rows(IReadOnlyList<ScoreRequest> requests) => inner.Rows(Prefixed(requests));

    /// <inheritdoc/>
    public ILogitRows Rows(ISession session, ReadOnlySpan<int> continuation) => inner.Rows(((Session)session).Inner, continuation);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private ScoreRequest[] Prefixed(IReadOnlyList<ScoreRequest> requests) =>
        [.. requests.Select(request => new ScoreRequest(Join(request.Context.Span), request.Continuation))];

    /// <summary>The model whose weights a model uses: its own, or those of the one that it puts something before.</summary>
    internal static ILanguageModel Owner(ILanguageModel model) => model is PrefixedModel prefixed ? prefixed.Inner : model;

    /// <summary>The owner's session behind a session, and what is fed to it.</summary>
    internal static (ISession Session, ReadOnlyMemory<int> Ids) Unwrap(ISession session, ReadOnlyMemory<int> ids) =>
        session is Session prefixed ? (prefixed.Inner, prefixed.Whole(ids)) : (session, ids);

    private ILanguageModel Inner => inner;

    private int[] Join(ReadOnlySpan<int> ids) => ids[0] == begin ? [ids[0], .. prefix, .. ids[1..]] : [.. prefix, .. ids];

    private sealed class Session(PrefixedModel model, ISession inner) : ISession
    {
        private int Hidden => inner.Length == 0 ? 0 : model.PrefixLength;

        public ISession Inner => inner;

        public int Length => inner.Length - Hidden;

        public void Append(ReadOnlySpan<int> ids) => inner.Append(Whole(ids.ToArray()).Span);

        public ReadOnlyMemory<int> Whole(ReadOnlyMemory<int> ids) => inner.Length > 0 || ids.IsEmpty ? ids : model.Join(ids.Span);

        public void Truncate(int length) => inner.Truncate(length == 0 ? 0 : length + Hidden);

        public void NextLogits(Span<float> logits) => inner.NextLogits(logits);

        public TokenScores Score(ReadOnlySpan<int> continuation) => inner.Score(continuation);

        public float[] LogProbs(ReadOnlySpan<int> continuation) => inner.LogProbs(continuation);

        public IJoinableRows? NextRow() => inner.NextRow();

        public void Dispose() => inner.Dispose();
    }

    private int PrefixLength => prefix.Length;
}
