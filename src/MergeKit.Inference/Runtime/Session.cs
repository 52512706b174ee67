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
        using (engine.Enter())
            engine.Backend.Logits(engine.Weights.Head, _last, 0, logits);
    }

    /// <inheritdoc/>
    public TokenScores Score(ReadOnlySpan<int> continuation)
    {
        Check(continuation);
        var scores = new ScoreBuilder(engine, continuation.ToArray());
        if (continuation.IsEmpty)
            return scores.Result;
        Refresh();
        using (engine.Enter())
            scores.Take(_last, 0, 1);
        Feed(continuation.ToArray(), (start, output) => scores.Take(output, start + 1, output.Rows));
        return scores.Result;
    }

    /// <summary>The laws of a continuation's tokens, which are appended.</summary>
    public ILogitRows Rows(ReadOnlySpan<int> continuation)
    {
        Check(continuation);
        var (rows, count) = (new HiddenRows(engine), continuation.Length);
        if (continuation.IsEmpty)
            return rows;
        Refresh();
        using (engine.Enter())
            rows.Take(_last, [0]);
        Feed(continuation.ToArray(), (start, output) => rows.Take(output, [.. Enumerable.Range(0, Math.Min(output.Rows, count - 1 - start))]));
        return rows;
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
        var (start, length) = (0, _ids.Count + ids.Length);
        foreach (var part in PassPlanner.Split(engine.Network, ids))
        {
            try
            {
                using (engine.Enter())
                {
                    var output = engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(_cache, part, length)]));
                    visit(start, output);
                    engine.Backend.CopyRow(output, part.Length - 1, _last);
                }
            }
            catch
            {
                _cache.Truncate(_ids.Count);
                _lastIsCurrent = false;
                throw;
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
