using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Scores many continuations in ragged batches. A context that neighbouring requests share is computed once, and so is a beginning
/// that neighbouring contexts share (the examples before a few-shot question).</summary>
internal sealed class BatchScorer(string name, Engine engine)
{
    private const int LeastShared = 16, LeastPrefix = 64;
    private readonly int _budget = engine.Backend.TokensPerPass;

    /// <summary>Results in the order of the requests.</summary>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests)
    {
        foreach (var request in requests)
            Check(request);
        var results = new TokenScores[requests.Count];
        var items = Items(requests);
        using var prefix = new Prefix(engine);
        for (var first = 0; first < items.Count;)
        {
            var shared = CommonStart(items, first);
            var count = Fitting(items, first, shared);
            var pack = items.GetRange(first, count);
            first += count;
            if (count == 1 && shared == 0 && pack[0].Continuations.Count == 1 && pack[0].Tokens(0) > _budget)
            {
                var scores = new ScoreBuilder(engine, pack[0].Continuations[0]);
                Alone(pack[0], scores.Take);
                results[pack[0].First] = scores.Result;
            }
            else
                Together(pack, shared == 0 ? null : prefix.Of(pack[0].Context[..shared]), shared, results);
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
            var items = requests.Skip(first).Select(request => new Item(0, request.Context, [request.Continuation], Fed(request)));
            var pack = new List<Item>();
            var tokens = 0L;
            foreach (var item in items)
            {
                if (pack.Count > 0 && tokens + item.Fed > _budget)
                    break;
                pack.Add(item);
                tokens += item.Fed;
            }

            if (pack.Count == 1)
                Alone(pack[0], (output, start, length) =>
                    rows.Take(output, [.. Enumerable.Range(0, length).Where(row => start + row >= 0 && start + row < pack[0].Continuations[0].Length)]));
            else
                Whole(pack, rows);
            first += pack.Count;
        }

        return rows;
    }

    /// <summary>One pass over whole items.</summary>
    private void Whole(List<Item> pack, HiddenRows rows)
    {
        var caches = pack.ConvertAll(_ => engine.Backend.CreateCache());
        try
        {
            var batch = ForwardBatch.Continue([.. pack.Select((item, i) => new SequencePart(caches[i], item.Joined(0, 0)))], retain: false);
            int[] places = [.. pack.SelectMany((item, i) => Enumerable.Range(batch.Sequences[i].Start + item.Context.Length - 1, item.Continuations[0].Length))];
            using (engine.Enter())
                rows.Take(engine.Transformer.Forward(batch), places);
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
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

    /// <summary>Neighbouring requests with one context, where sharing it pays and changes nothing.</summary>
    private List<Item> Items(IReadOnlyList<ScoreRequest> requests)
    {
        var items = new List<Item>();
        for (var first = 0; first < requests.Count;)
        {
            var (context, count, tokens) = (requests[first].Context, 1, requests[first].Continuation.Length);
            while (context.Length >= LeastShared && !engine.Network.RotaryDependsOnLength && first + count < requests.Count
                && tokens + requests[first + count].Continuation.Length <= _budget && requests[first + count].Context.Span.SequenceEqual(context.Span))
                tokens += requests[first + count++].Continuation.Length;
            items.Add(new Item(first, context, [.. Enumerable.Range(first, count).Select(i => requests[i].Continuation)], Fed(requests[first])));
            first += count;
        }

        return items;
    }

    /// <summary>Tokens that the contexts of an item and the next one begin with; 0 where that is too little to share.</summary>
    private int CommonStart(List<Item> items, int first)
    {
        if (first + 1 == items.Count || engine.Network.RotaryDependsOnLength)
            return 0;
        var common = items[first].Context.Span[..^1].CommonPrefixLength(items[first + 1].Context.Span[..^1]);
        return common >= LeastPrefix && common <= _budget ? common : 0;
    }

    /// <summary>Items of one kind from <paramref name="first"/> on that fit into one pass (contexts) and another one (continuations).</summary>
    private int Fitting(List<Item> items, int first, int shared)
    {
        var (count, contexts, branches) = (0, 0L, 0L);
        var start = items[first].Context.Span[..shared];
        while (first + count < items.Count)
        {
            var item = items[first + count];
            var own = (Contexts: (long)item.Tokens(shared), Branches: item.Branches);
            var alike = item.IsShared == items[first].IsShared && item.Context.Length > shared && item.Context.Span[..shared].SequenceEqual(start)
                && (shared > 0 || count == 0 || CommonStart(items, first + count) == 0);
            if (count > 0 && (!alike || contexts + own.Contexts > _budget || branches + own.Branches > _budget))
                break;
            (count, contexts, branches) = (count + 1, contexts + own.Contexts, branches + own.Branches);
        }

        return count;
    }

    /// <summary>One item, part by part: <paramref name="visit"/> gets each part's output, which target its first row predicts, and its rows.</summary>
    private void Alone(Item item, Action<IBuffer, int, int> visit)
    {
        using var cache = engine.Backend.CreateCache();
        var start = -(item.Context.Length - 1);
        var ids = item.Joined(0, 0);
        foreach (var part in PassPlanner.Split(engine, ids))
        {
            using (engine.Enter())
                visit(engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(cache, part, ids.Length)])), start, part.Length);
            start += part.Length;
        }
    }

    /// <summary>Contexts on copies of the prefix, then every continuation on a copy of its context; single continuations together with their context.</summary>
    private void Together(List<Item> pack, IKvCache? prefix, int shared, TokenScores[] results)
    {
        var caches = new List<IKvCache>();
        IKvCache Keep(IKvCache cache)
        {
            caches.Add(cache);
            return cache;
        }

        try
        {
            var starts = pack.ConvertAll(item => Keep(prefix?.Fork(item.Context.Length - shared) ?? engine.Backend.CreateCache()));
            if (!pack[0].IsShared)
            {
                Score([.. pack.Select((item, i) => new Sequence(starts[i], item.Joined(shared, 0), item.Context.Length - 1 - shared, item.Continuations[0], item.First))], prefix is null, results);
                return;
            }

            Feed([.. pack.Select((item, i) => (starts[i], item.Context[shared..^1]))]);
            var branches = new List<Sequence>();
            for (var i = 0; i < pack.Count; i++)
                for (var k = 0; k < pack[i].Continuations.Count; k++)
                    branches.Add(new Sequence(
                        Keep(starts[i].Fork(pack[i].Continuations[k].Length)), pack[i].Joined(pack[i].Context.Length - 1, k), 0, pack[i].Continuations[k], pack[i].First + k));
            Score(branches, false, results);
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    /// <summary>Feeds contexts: all in one pass, or one that is too long in several.</summary>
    private void Feed(IReadOnlyList<(IKvCache Cache, ReadOnlyMemory<int> Ids)> sequences)
    {
        var fed = sequences.Where(sequence => !sequence.Ids.IsEmpty).ToList();
        if (fed.Count == 1)
            foreach (var part in PassPlanner.Split(engine, fed[0].Ids))
                Forward([new SequencePart(fed[0].Cache, part)]);
        else if (fed.Count > 1)
            Forward([.. fed.Select(sequence => new SequencePart(sequence.Cache, sequence.Ids))]);
    }

    private void Forward(IReadOnlyList<SequencePart> parts)
    {
        using (engine.Enter())
            engine.Transformer.Forward(ForwardBatch.Continue(parts));
    }

    /// <summary>One pass over several sequences, and the scores of their targets.</summary>
    private void Score(IReadOnlyList<Sequence> sequences, bool fresh, TokenScores[] results)
    {
        var batch = ForwardBatch.Continue([.. sequences.Select(sequence => new SequencePart(sequence.Cache, sequence.Ids))], retain: !fresh);
        int[] rows = [.. sequences.SelectMany((sequence, i) => Enumerable.Range(batch.Sequences[i].Start + sequence.Row, sequence.Targets.Length))];
        int[] targets = [.. sequences.SelectMany(sequence => sequence.Targets.ToArray())];
        var (logProbs, isArgMax) = (new float[rows.Length], new bool[rows.Length]);
        using (engine.Enter())
            engine.Backend.Score(engine.Weights.Head, engine.Transformer.Forward(batch), rows, targets, logProbs, isArgMax);
        var place = 0;
        foreach (var sequence in sequences)
        {
            var end = place + sequence.Targets.Length;
            results[sequence.Result] = new TokenScores(logProbs[place..end], isArgMax[place..end]);
            place = end;
        }
    }

    /// <summary>What is fed to a cache; row <paramref name="Row"/> of it predicts the first target.</summary>
    private readonly record struct Sequence(IKvCache Cache, ReadOnlyMemory<int> Ids, int Row, ReadOnlyMemory<int> Targets, int Result);

    /// <summary>One context and the continuations of neighbouring requests with it.</summary>
    private sealed record Item(int First, ReadOnlyMemory<int> Context, IReadOnlyList<ReadOnlyMemory<int>> Continuations, int Fed)
    {
        public bool IsShared => Continuations.Count > 1;

        /// <summary>Tokens of all continuations.</summary>
        public long Branches => IsShared ? Continuations.Sum(continuation => (long)continuation.Length) : 0;

        /// <summary>Tokens of the first pass where so many at the beginning are there already.</summary>
        public int Tokens(int shared) => (IsShared ? Context.Length - 1 : Fed) - shared;

        /// <summary>Context from a place on, and what is fed of a continuation.</summary>
        public ReadOnlyMemory<int> Joined(int from, int continuation)
        {
            var context = Context.Span[from..];
            var added = Continuations[continuation].Span;
            var ids = new int[context.Length + (IsShared ? Math.Max(0, added.Length - 1) : Fed - Context.Length)];
            context.CopyTo(ids);
            added[..(ids.Length - context.Length)].CopyTo(ids.AsSpan(context.Length));
            return ids;
        }
    }

    /// <summary>The last shared beginning, kept for as long as packs begin with it.</summary>
    private sealed class Prefix(Engine engine) : IDisposable
    {
        private IKvCache? _cache;
        private int[] _ids = [];

        public IKvCache Of(ReadOnlyMemory<int> ids)
        {
            if (_cache is not null && ids.Span.SequenceEqual(_ids))
                return _cache;
            Dispose();
            (_cache, _ids) = (engine.Backend.CreateCache(), ids.ToArray());
            using (engine.Enter())
                engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(_cache, ids)]));
            return _cache;
        }

        public void Dispose() => _cache?.Dispose();
    }
}
