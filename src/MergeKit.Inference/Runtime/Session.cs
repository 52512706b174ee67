using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>One growing sequence of a <see cref="LanguageModel"/>.</summary>
internal sealed class Session(string name, Engine engine) : ISession
{
    private readonly IKvCache _cache = engine.Backend.CreateCache();
    private readonly IBuffer _last = engine.Backend.CreateBuffer();
    private readonly List<int> _ids = [];
    private bool _lastIsCurrent;

    /// <inheritdoc/>
    public int Length => _ids.Count;

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<int> ids)
    {
        Check(ids);
        Feed(ids.ToArray(), (_, _) => { });
    }

    /// <inheritdoc/>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (length >= _ids.Count)
            return;
        _ids.RemoveRange(length, _ids.Count - length);
        _cache.Truncate(length);
        _lastIsCurrent = false;
    }

    /// <inheritdoc/>
    public void NextLogits(Span<float> logits)
    {
        if (logits.Length != engine.Network.VocabularySize)
            throw new ArgumentException($"{logits.Length} places for {engine.Network.VocabularySize} logits", nameof(logits));
        Refresh();
        lock (engine.Gate)
            engine.Backend.Logits(engine.Weights.Head, _last, 0, logits);
    }

    /// <inheritdoc/>
    public TokenScores Score(ReadOnlySpan<int> continuation)
    {
        Check(continuation);
        var (logProbs, isArgMax) = (new float[continuation.Length], new bool[continuation.Length]);
        if (continuation.IsEmpty)
            return new TokenScores(logProbs, isArgMax);
        Refresh();
        var ids = continuation.ToArray();
        lock (engine.Gate)
            engine.Backend.Score(engine.Weights.Head, _last, [0], ids.AsSpan(0, 1), logProbs.AsSpan(0, 1), isArgMax.AsSpan(0, 1));
        Feed(ids, (start, output) =>
        {
            var count = Math.Min(output.Rows, ids.Length - 1 - start);
            if (count > 0)
                engine.Backend.Score(
                    engine.Weights.Head, output, [.. Enumerable.Range(0, count)], ids.AsSpan(start + 1, count),
                    logProbs.AsSpan(start + 1, count), isArgMax.AsSpan(start + 1, count));
        });
        return new TokenScores(logProbs, isArgMax);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cache.Dispose();
        _last.Dispose();
    }

    private void Check(ReadOnlySpan<int> ids)
    {
        engine.CheckIds(name, ids);
        engine.CheckLength(name, (long)_ids.Count + ids.Length);
    }

    /// <summary>Feeds ids pass by pass; <paramref name="visit"/> sees each pass's first index and output.</summary>
    private void Feed(ReadOnlyMemory<int> ids, Action<int, IBuffer> visit)
    {
        var start = 0;
        foreach (var part in PassPlanner.Split(engine.Network, ids))
        {
            lock (engine.Gate)
            {
                var output = engine.Transformer.Forward(ForwardBatch.Continue([(_cache, part)]));
                visit(start, output);
                engine.Backend.CopyRow(output, part.Length - 1, _last);
            }

            _ids.AddRange(part.Span);
            (start, _lastIsCurrent) = (start + part.Length, true);
        }
    }

    /// <summary>After a truncation the last token is fed again, for its hidden state.</summary>
    private void Refresh()
    {
        if (_ids.Count == 0)
            throw new InputException($"{name}: a next token needs at least one token before it");
        if (_lastIsCurrent)
            return;
        var last = _ids[^1];
        Truncate(_ids.Count - 1);
        Feed(new[] { last }, (_, _) => { });
    }
}
