using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>Gives the law after a sequence of ids; keeps what helps with the next one.</summary>
internal interface ILawSource : IDisposable
{
    /// <summary>Writes the logits after at least one id.</summary>
    void Next(ReadOnlySpan<int> ids, Span<float> logits);
}

/// <summary>A model whose laws come one position at a time, because its own tokens are not the ones it is asked about.</summary>
/// <param name="name">What to call it.</param>
/// <param name="vocabularySize">Ids.</param>
/// <param name="maxLength">The most ids in a sequence.</param>
/// <param name="open">Makes a source of laws for one sequence.</param>
internal sealed class StepwiseModel(string name, int vocabularySize, int maxLength, Func<ILawSource> open) : ILanguageModel
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public int VocabularySize => vocabularySize;

    /// <inheritdoc/>
    public int MaxLength => maxLength;

    /// <inheritdoc/>
    public ISession Open() => new Session(this, open());

    /// <inheritdoc/>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) =>
        [.. requests.Select(request =>
        {
            using var session = Open();
            session.Append(request.Context.Span);
            return session.Score(request.Continuation.Span);
        })];

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private sealed class Session(StepwiseModel model, ILawSource source) : ISession
    {
        private readonly List<int> _ids = [];

        public int Length => _ids.Count;

        public void Append(ReadOnlySpan<int> ids)
        {
            if (_ids.Count + (long)ids.Length > model.MaxLength)
                throw new InputException($"{model.Name}: a sequence of {_ids.Count + (long)ids.Length} ids is longer than the context of {model.MaxLength}");
            _ids.AddRange(ids);
        }

        public void Truncate(int length) => _ids.RemoveRange(Math.Min(length, _ids.Count), Math.Max(0, _ids.Count - length));

        public void NextLogits(Span<float> logits)
        {
            if (_ids.Count == 0)
                throw new InputException($"{model.Name}: a next token needs at least one token before it");
            source.Next(CollectionsMarshal.AsSpan(_ids), logits);
        }

        public TokenScores Score(ReadOnlySpan<int> continuation)
        {
            var (scores, law) = (new TokenScores(new float[continuation.Length], new bool[continuation.Length]), new float[model.VocabularySize]);
            for (var i = 0; i < continuation.Length; i++)
            {
                NextLogits(law);
                scores.LogProbs[i] = (float)(law[continuation[i]] - RowMath.LogSumExp<float>(law));
                scores.IsArgMax[i] = RowMath.ArgMax<float>(law) == continuation[i];
                Append(continuation.Slice(i, 1));
            }

            return scores;
        }

        public void Dispose() => source.Dispose();
    }
}
