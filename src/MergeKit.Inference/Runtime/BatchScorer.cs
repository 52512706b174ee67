using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Scores many continuations in ragged batches.</summary>
internal sealed class BatchScorer(string name, Engine engine)
{
    /// <summary>Results in the order of the requests.</summary>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests)
    {
        foreach (var request in requests)
            Check(request);
        var results = new TokenScores[requests.Count];
        var budget = PassPlanner.TokensPerPass(engine.Network);
        for (var first = 0; first < requests.Count;)
        {
            var (count, tokens) = (0, 0L);
            while (first + count < requests.Count && (count == 0 || tokens + Fed(requests[first + count]) <= budget))
                tokens += Fed(requests[first + count++]);
            if (count == 1)
                results[first] = Alone(requests[first]);
            else
                Together(requests, first, count, results);
            first += count;
        }

        return results;
    }

    /// <summary>Tokens to feed: the last one of a continuation is only a target, but it counts where rotary tables depend on the length.</summary>
    private int Fed(ScoreRequest request) =>
        request.Context.Length + (engine.Network.RotaryDependsOnLength ? request.Continuation.Length : Math.Max(0, request.Continuation.Length - 1));

    private void Check(ScoreRequest request)
    {
        if (request.Context.IsEmpty)
            throw new InputException($"{name}: a continuation can only be scored after a context of at least one token");
        engine.CheckIds(name, request.Context.Span);
        engine.CheckIds(name, request.Continuation.Span);
        engine.CheckLength(name, Fed(request));
    }

    private TokenScores Alone(ScoreRequest request)
    {
        var (logProbs, isArgMax) = (new float[request.Continuation.Length], new bool[request.Continuation.Length]);
        using var cache = engine.Backend.CreateCache();
        var (ids, start) = (Join(request), 0);
        foreach (var part in PassPlanner.Split(engine.Network, ids))
        {
            lock (engine.Gate)
            {
                var output = engine.Transformer.Forward(ForwardBatch.Continue([(cache, part)]));
                var first = Math.Max(start, request.Context.Length - 1);
                var count = Math.Min(start + part.Length, request.Context.Length - 1 + request.Continuation.Length) - first;
                if (count > 0)
                {
                    var place = first - (request.Context.Length - 1);
                    engine.Backend.Score(
                        engine.Weights.Head, output, [.. Enumerable.Range(first - start, count)], request.Continuation.Span.Slice(place, count),
                        logProbs.AsSpan(place, count), isArgMax.AsSpan(place, count));
                }
            }

            start += part.Length;
        }

        return new TokenScores(logProbs, isArgMax);
    }

    private void Together(IReadOnlyList<ScoreRequest> requests, int first, int count, TokenScores[] results)
    {
        var caches = Enumerable.Range(0, count).Select(_ => engine.Backend.CreateCache()).ToList();
        try
        {
            var batch = ForwardBatch.Continue([.. caches.Select((cache, i) => (cache, Join(requests[first + i])))]);
            var (rows, targets) = (new List<int>(), new List<int>());
            for (var i = 0; i < count; i++)
            {
                var request = requests[first + i];
                rows.AddRange(Enumerable.Range(batch.Sequences[i].Start + request.Context.Length - 1, request.Continuation.Length));
                targets.AddRange(request.Continuation.Span);
            }

            var (logProbs, isArgMax) = (new float[rows.Count], new bool[rows.Count]);
            lock (engine.Gate)
            {
                var output = engine.Transformer.Forward(batch);
                engine.Backend.Score(engine.Weights.Head, output, rows.ToArray(), targets.ToArray(), logProbs, isArgMax);
            }

            for (int i = 0, place = 0; i < count; place += requests[first + i++].Continuation.Length)
            {
                var length = requests[first + i].Continuation.Length;
                results[first + i] = new TokenScores(logProbs.AsSpan(place, length).ToArray(), isArgMax.AsSpan(place, length).ToArray());
            }
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    private ReadOnlyMemory<int> Join(ScoreRequest request)
    {
        var ids = new int[Fed(request)];
        request.Context.Span.CopyTo(ids);
        request.Continuation.Span[..(ids.Length - request.Context.Length)].CopyTo(ids.AsSpan(request.Context.Length));
        return ids;
    }
}
