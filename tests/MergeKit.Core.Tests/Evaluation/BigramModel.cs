using MergeKit.Core.Models;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>A language model small enough to check by hand: the next character depends on the last one only, by a table of logits.</summary>
internal sealed class BigramModel(string name, Func<int, int, float> logit, int maxLength = 64) : ILanguageModel
{
    public string Name => name;

    public int VocabularySize => CharacterEncoder.Size;

    public int MaxLength => maxLength;

    public int Requests { get; private set; }

    public int LongestRequest { get; private set; }

    /// <summary>ln p(next | last), from the definition.</summary>
    public double LogProb(int last, int next)
    {
        var sum = Enumerable.Range(0, VocabularySize).Sum(id => Math.Exp(logit(last, id)));
        return logit(last, next) - Math.Log(sum);
    }

    public ISession Open() => new Session(this);

    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests)
    {
        Requests += requests.Count;
        return requests.Select(request =>
        {
            LongestRequest = Math.Max(LongestRequest, request.Context.Length + request.Continuation.Length);
            using var session = Open();
            session.Append(request.Context.Span);
            return session.Score(request.Continuation.Span);
        }).ToArray();
    }

    public void Dispose()
    {
    }

    private sealed class Session(BigramModel model) : ISession
    {
        private readonly List<int> _ids = [];

        public int Length => _ids.Count;

        public void Append(ReadOnlySpan<int> ids)
        {
            _ids.AddRange(ids);
            if (Length > model.MaxLength)
                throw new InvalidOperationException($"{Length} tokens in a model of {model.MaxLength}");
        }

        public void Truncate(int length) => _ids.RemoveRange(length, Length - length);

        public void NextLogits(Span<float> logits)
        {
            for (var i = 0; i < logits.Length; i++)
                logits[i] = (float)model.LogProb(_ids[^1], i);
        }

        public TokenScores Score(ReadOnlySpan<int> continuation)
        {
            var scores = new float[continuation.Length];
            var best = new bool[continuation.Length];
            for (var i = 0; i < continuation.Length; i++)
            {
                var last = _ids[^1];
                scores[i] = (float)model.LogProb(last, continuation[i]);
                best[i] = Enumerable.Range(0, model.VocabularySize).MaxBy(id => model.LogProb(last, id)) == continuation[i];
                Append(continuation.Slice(i, 1));
            }

            return new TokenScores(scores, best);
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>One token a character: 0 begins and ends a text, 1 to 95 are printable ASCII, 96 is the newline, 97 anything else.</summary>
internal sealed class CharacterEncoder : ITextEncoder
{
    public const int Size = 98;

    public int? BosId => 0;

    public int? EosId => 0;

    public static int Id(char c) => c is >= ' ' and <= '~' ? c - ' ' + 1 : c == '\n' ? 96 : 97;

    public int[] Encode(string text, bool addSpecialTokens) => text.Select(Id).ToArray();

    public string Decode(ReadOnlySpan<int> ids) => string.Concat(ids.ToArray().Select(id => id switch { 0 => "<end>", 96 => "\n", 97 => "\uFFFD", _ => ((char)(id + ' ' - 1)).ToString() }));
}
