using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Scores many continuations in ragged batches; a context that neighbouring requests share is computed once.</summary>
internal sealed class BatchScorer(string name, Engine engine)
{
    private const int LeastShared = 16;
    private readonly int _budget = PassPlanner.TokensPerPass(engine.Network);

    /// <summary>Results in the order of the requests.</summary>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests)
    {
        foreach (var request in requests)
            Check(request);
        var results = new TokenScores[requests.Count];
        for (var first = 0; first < requests.Count;)
        {
            var shared = SharedContexts(requests, first);
            if (shared > 1)
            {
                Branches(requests, first, shared, results);
                first += shared;
                continue;
            }

            var count = Fitting(requests, first);
            if (count == 1)
            {
                var scores = new ScoreBuilder(engine, requests[first].Continuation);
                Alone(requests[first], scores.Take);
                results[first] = scores.Result;
            }
            else
                Together(requests, first, count, results);
            first += count;
        }

        return results;
    }

    /// <summary>The laws of every continuation token, in ragged batches.</summary>
    public HiddenRows Rows(IReadOnlyList<ScoreRequest> requests)
    {
        foreach (var request in requests)
            Check(request);
        var rows = new HiddenRows(engine);
        for (var first = 0; first < requests.Count;)
        {
            var count = Fitting(requests, first, stopAtShared: false);
            if (count == 1)
                Alone(requests[first], (output, start, length) =>
                    rows.Take(output, [.. Enumerable.Range(0, length).Where(row => start + row >= 0 && start + row < requests[first].Continuation.Length)]));
            else
                Run(count, _ => engine.Backend.CreateCache(), i => Whole(requests[first + i]), (output, places, _) => rows.Take(output, places));
            first += count;
        }

        return rows;
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

    /// <summary>Requests from <paramref name="first"/> on that fit into one pass, up to the next shared context.</summary>
    private int Fitting(IReadOnlyList<ScoreRequest> requests, int first, bool stopAtShared = true)
    {
        var (count, tokens) = (1, (long)Fed(requests[first]));
        while (first + count < requests.Count && tokens + Fed(requests[first + count]) <= _budget
            && (!stopAtShared || SharedContexts(requests, first + count) == 1))
            tokens += Fed(requests[first + count++]);
        return count;
    }

    /// <summary>Requests from <paramref name="first"/> on with its context, where sharing it pays and changes nothing.</summary>
    private int SharedContexts(IReadOnlyList<ScoreRequest> requests, int first)
    {
        var context = requests[first].Context.Span;
        var (count, tokens) = (1, requests[first].Continuation.Length);
        if (context.Length < LeastShared || engine.Network.RotaryDependsOnLength)
            return 1;
        while (first + count < requests.Count && tokens + requests[first + count].Continuation.Length <= _budget
            && requests[first + count].Context.Span.SequenceEqual(context))
            tokens += requests[first + count++].Continuation.Length;
        return count;
    }

    /// <summary>One request, part by part: <paramref name="visit"/> gets each part's output, which target its first row predicts, and its rows.</summary>
    private void Alone(ScoreRequest request, Action<IBuffer, int, int> visit)
    {
        using var cache = engine.Backend.CreateCache();
        var start = -(request.Context.Length - 1);
        var ids = Join(request);
        foreach (var part in PassPlanner.Split(engine.Network, ids))
        {
            using (engine.Enter())
                visit(engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(cache, part, ids.Length)])), start, part.Length);
            start += part.Length;
        }
    }

    /// <summary>The shared context once, then every continuation on a copy of its cache.</summary>
    private void Branches(IReadOnlyList<ScoreRequest> requests, int first, int count, TokenScores[] results)
    {
        using var trunk = engine.Backend.CreateCache();
        foreach (var part in PassPlanner.Split(engine.Network, requests[first].Context[..^1]))
            using (engine.Enter())
                engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(trunk, part)]));
        Run(count, i => trunk.Fork(requests[first + i].Continuation.Length), i =>
        {
            var joined = Join(requests[first + i]);
            return (joined[(requests[first + i].Context.Length - 1)..], 0, requests[first + i].Continuation);
        }, (output, rows, targets) => Score(output, rows, targets, results.AsSpan(first, count), requests, first));
    }

    private void Together(IReadOnlyList<ScoreRequest> requests, int first, int count, TokenScores[] results) =>
        Run(count, _ => engine.Backend.CreateCache(), i => Whole(requests[first + i]),
            (output, rows, targets) => Score(output, rows, targets, results.AsSpan(first, count), requests, first));

    private (ReadOnlyMemory<int> Ids, int Row, ReadOnlyMemory<int> Targets) Whole(ScoreRequest request) =>
        (Join(request), request.Context.Length - 1, request.Continuation);

    /// <summary>Scores a pass's rows and hands them out to the requests that they belong to.</summary>
    private void Score(IBuffer output, int[] rows, int[] targets, Span<TokenScores> results, IReadOnlyList<ScoreRequest> requests, int first)
    {
        var (logProbs, isArgMax) = (new float[rows.Length], new bool[rows.Length]);
        engine.Backend.Score(engine.Weights.Head, output, rows, targets, logProbs, isArgMax);
        for (int i = 0, place = 0; i < results.Length; i++)
        {
            var end = place + requests[first + i].Continuation.Length;
            results[i] = new TokenScores(logProbs[place..end], isArgMax[place..end]);
            place = end;
        }
    }

    /// <summary>One pass over several sequences: each feeds ids, of which row <c>Row</c> predicts the first target.</summary>
    private void Run(
        int count, Func<int, IKvCache> cacheOf, Func<int, (ReadOnlyMemory<int> Ids, int Row, ReadOnlyMemory<int> Targets)> sequenceOf,
        Action<IBuffer, int[], int[]> visit)
    {
        var caches = new List<IKvCache>();
        try
        {
            for (var i = 0; i < count; i++)
                caches.Add(cacheOf(i));
            var sequences = Enumerable.Range(0, count).Select(sequenceOf).ToList();
            var batch = ForwardBatch.Continue([.. caches.Select((cache, i) => new SequencePart(cache, sequences[i].Ids))]);
            int[] rows = [.. sequences.SelectMany((sequence, i) =>
                Enumerable.Range(batch.Sequences[i].Start + sequence.Row, sequence.Targets.Length))];
            int[] targets = [.. sequences.SelectMany(sequence => sequence.Targets.ToArray())];
            using (engine.Enter())
                visit(engine.Transformer.Forward(batch), rows, targets);
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
