using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>Combined laws of many positions: blocks of every run's rows, combined in parallel.</summary>
internal sealed class EnsembleRows : ILogitRows
{
    private const int MostRows = 256, LeastRows = 8, BlockFloats = 1 << 21;
    private readonly Ensemble _ensemble;
    private readonly IReadOnlyList<ILogitRows> _parts;
    private readonly StepTable _steps;
    private readonly int _block;
    private float[][] _buffers = [];
    private float[] _laws = [];

    /// <summary>Rows of an ensemble.</summary>
    /// <param name="ensemble">The ensemble.</param>
    /// <param name="parts">One per run; disposed of together with this.</param>
    /// <param name="steps">The place of each row.</param>
    public EnsembleRows(Ensemble ensemble, IReadOnlyList<ILogitRows> parts, StepTable steps)
    {
        (_ensemble, _parts, _steps) = (ensemble, parts, steps);
        var widest = ensemble.Runs.Max(run => run.VocabularySize);
        _block = Math.Max(1, Math.Min(Count, Math.Clamp(BlockFloats / widest, LeastRows, MostRows)));
    }

    /// <inheritdoc/>
    public int Count => _parts[0].Count;

    /// <inheritdoc/>
    public void Read(int first, Span<float> logits)
    {
        if (_ensemble.Joined is { } rule && _parts[0] is IJoinableRows rows && rows.TryRead(_parts, first, rule.At(_steps, first, logits.Length / _ensemble.VocabularySize), logits))
            return;
        for (var count = logits.Length / _ensemble.VocabularySize; count > 0;)
        {
            var size = Math.Min(count, _block);
            Combine(first, size, null);
            var floats = size * _ensemble.VocabularySize;
            _laws.AsSpan(0, floats).CopyTo(logits);
            (first, count) = (first + size, count - size);
            logits = logits[floats..];
        }
    }

    /// <summary>ln p of one target per row, and where asked for whether it was the most probable token.</summary>
    public RowScores Score(IReadOnlyList<int> targets, bool withArgMax)
    {
        var scores = new RowScores(new float[Count], new bool[Count]);
        if (_ensemble.Joined is { } rule && _parts[0] is IJoinableRows rows
            && rows.TryScore(_parts, 0, rule.At(_steps, 0, Count), targets.ToArray(), scores.LogProbs, scores.IsArgMax))
            return scores;
        for (var first = 0; first < Count; first += _block)
            Combine(first, Math.Min(_block, Count - first), (row, law) =>
            {
                scores.LogProbs[row] = law.Span[targets[row]];
                scores.IsArgMax[row] = withArgMax && RowMath.ArgMax(law.Span) == targets[row];
            });
        return scores;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in _parts)
            part.Dispose();
    }

    private void Reserve()
    {
        if (_laws.Length > 0)
            return;
        _buffers = [.. _ensemble.Runs.Select(run => new float[_block * run.VocabularySize])];
        _laws = new float[_block * _ensemble.VocabularySize];
    }

    private void Combine(int first, int count, Action<int, ReadOnlyMemory<float>>? visit)
    {
        Reserve();
        _ensemble.ForRuns(run => _parts[run].Read(first, _buffers[run].AsSpan(0, count * _ensemble.Runs[run].VocabularySize)));
        var options = new ParallelOptions { MaxDegreeOfParallelism = _ensemble.Options.Threads };
        Parallel.For(0, count, options, () => new ReadOnlyMemory<float>[_ensemble.Members.Count], (i, _, members) =>
        {
            var law = _laws.AsMemory(i * _ensemble.VocabularySize, _ensemble.VocabularySize);
            _ensemble.Combine(_steps[first + i], _buffers, i, members, law.Span);
            visit?.Invoke(first + i, law);
            return members;
        }, _ => { });
    }
}

/// <summary>Scores of the rows of several requests.</summary>
internal sealed record RowScores(float[] LogProbs, bool[] IsArgMax)
{
    /// <summary>Hands them out to their requests.</summary>
    public void Split(IReadOnlyList<ScoreRequest> requests, Span<TokenScores> results)
    {
        for (int i = 0, place = 0; i < requests.Count; i++)
        {
            var end = place + requests[i].Continuation.Length;
            results[i] = new TokenScores(LogProbs[place..end], IsArgMax[place..end]);
            place = end;
        }
    }
}
