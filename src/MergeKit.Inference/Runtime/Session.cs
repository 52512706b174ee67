using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>One growing sequence of a <see cref="LanguageModel"/>.</summary>
internal sealed class Session(string name, Engine engine) : IGreedySession, IDrawingSession
{
    private readonly IKvCache _cache = engine.Backend.CreateCache();
    private readonly IBuffer _last = engine.Backend.CreateBuffer();
    private readonly List<int> _ids = [];
    private HiddenRows? _next;
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
    public IJoinableRows NextRow()
    {
        Refresh();
        return _next ??= HiddenRows.Of(engine, _last);
    }

    /// <summary>Feeds several sessions of one engine in one pass, or one after the other where that would be too long.</summary>
    public static void Append(IReadOnlyList<(ISession Session, ReadOnlyMemory<int> Ids)> parts)
    {
        if (parts.Count == 1 || parts.Sum(part => (long)part.Ids.Length) > ((Session)parts[0].Session).TokensPerPass)
        {
            foreach (var (session, ids) in parts)
                session.Append(ids.Span);
            return;
        }

        AppendTogether([.. parts.Select(part => ((Session)part.Session, part.Ids))]);
    }

    /// <inheritdoc/>
    public int NextArgMax()
    {
        Refresh();
        var id = 0;
        using (engine.Enter())
            engine.Backend.ArgMax(engine.Weights.Head, _last, [0], new Span<int>(ref id));
        return id;
    }

    /// <inheritdoc/>
    public int NextDraw(in DrawRule rule)
    {
        Refresh();
        using (engine.Enter())
            return engine.Backend.Draw(engine.Weights.Head, _last, 0, rule);
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
        foreach (var part in PassPlanner.Split(engine, ids))
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

    private int TokensPerPass => engine.Backend.TokensPerPass;

    private static void AppendTogether((Session Session, ReadOnlyMemory<int> Ids)[] parts)
    {
        foreach (var (session, ids) in parts)
            session.Check(ids.Span);
        parts[0].Session.ForwardTogether(parts);
        foreach (var (session, ids) in parts)
        {
            session._ids.AddRange(ids.Span);
            session._lastIsCurrent = true;
        }
    }

    private void ForwardTogether((Session Session, ReadOnlyMemory<int> Ids)[] parts)
    {
        try
        {
            using (engine.Enter())
            {
                var batch = ForwardBatch.Continue([.. parts.Select(part => new SequencePart(part.Session._cache, part.Ids))]);
                var output = engine.Transformer.Forward(batch);
                for (var i = 0; i < parts.Length; i++)
                    engine.Backend.CopyRow(output, batch.Sequences[i].Start + batch.Sequences[i].Count - 1, parts[i].Session._last);
            }
        }
        catch
        {
            foreach (var (session, _) in parts)
            {
                session._cache.Truncate(session._ids.Count);
                session._lastIsCurrent = false;
            }

            throw;
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
