using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Search.Tuning;

/// <summary>Running text as bits per byte; an item is a window, encoded once for all candidates.</summary>
public sealed class TextTuningSet : TuningSet
{
    private readonly ScoreRequest[] _requests;

    private TextTuningSet(string name, double weight, ScoreRequest[] requests, double[] bytes)
        : base(name, "bits_per_byte", higherIsBetter: false, weight, bytes) => _requests = requests;

    /// <summary>Tokens that a candidate scores.</summary>
    public int Tokens => _requests.Sum(request => request.Continuation.Length);

    /// <summary>Cuts the text into windows, and keeps about <paramref name="tokens"/> tokens of them, spread evenly.</summary>
    public static TextTuningSet Prepare(TextDataSet data, string name, double weight, int? limit, int? tokens, ITextEncoder encoder, int maxLength, int vocabulary)
    {
        var prefix = encoder.BosId ?? encoder.EosId ?? throw new InputException($"{data.Path}: running text needs a BOS or EOS token to begin with, and the tokenizer has neither");
        var (requests, bytes) = (new List<ScoreRequest>(), new List<double>());
        foreach (var document in data.Documents.Take(limit ?? int.MaxValue))
        {
            var ids = encoder.Encode(document, addSpecialTokens: false);
            if (ids.Any(id => id < 0 || id >= vocabulary))
                throw new InputException($"{data.Path}: the tokenizer gives the id {ids.Max()}, but the models have {vocabulary} ids");
            var windows = TextEvaluation.Windows(ids, prefix, maxLength - 1, WindowContext.PrefixToken).ToArray();
            requests.AddRange(windows.Select(window => window.ToScoreRequest()));
            bytes.AddRange(TextEvaluation.Shares([.. windows.Select(window => (double)TextMeasure.Bytes(encoder.Decode(window.ContinuationTokens)))], TextMeasure.Bytes(document)));
        }

        if (requests.Count == 0)
            throw new InputException($"{data.Path}: the text has no tokens to score");
        var kept = Spread(requests, tokens);
        return new TextTuningSet(name, weight, [.. kept.Select(i => requests[i])], [.. kept.Select(i => bytes[i])]);
    }

    /// <inheritdoc/>
    public override void Score(EvaluatedModel model, IReadOnlyList<int> items, Span<double> numerators, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var scores = model.Model.Score([.. items.Select(item => _requests[item])]);
        for (var i = 0; i < items.Count; i++)
            numerators[i] = -scores[i].Sum / Math.Log(2);
    }

    private static List<int> Spread(List<ScoreRequest> requests, int? tokens)
    {
        var total = requests.Sum(request => (long)request.Continuation.Length);
        if (tokens is not { } wanted || wanted >= total)
            return [.. Enumerable.Range(0, requests.Count)];
        var count = Math.Clamp((int)Math.Round((double)wanted * requests.Count / total), 1, requests.Count);
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * requests.Count / count))];
    }
}
