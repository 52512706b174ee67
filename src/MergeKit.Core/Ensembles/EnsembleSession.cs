using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>One growing sequence of an <see cref="Ensemble"/>. Members are fed when their law is wanted: one that was not needed for some steps catches
/// up in one pass.</summary>
internal sealed class EnsembleSession : ISession
{
    private readonly Ensemble _ensemble;
    private readonly ISession[] _runs;
    private readonly float[][] _rows;
    private readonly ILogitRows[] _next;
    private readonly ReadOnlyMemory<float>[] _members;
    private readonly List<int> _ids = [];
    private readonly List<double> _states = [];
    private int _prompt;

    public EnsembleSession(Ensemble ensemble)
    {
        _ensemble = ensemble;
        _runs = [.. ensemble.Runs.Select(run => run.Open())];
        _rows = [.. ensemble.Runs.Select(run => Array.Empty<float>())];
        (_next, _members) = (new ILogitRows[_runs.Length], new ReadOnlyMemory<float>[ensemble.Members.Count]);
    }

    /// <inheritdoc/>
    public int Length => _ids.Count;

    private int StateSize => _ensemble.Combiner.StateSize;

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<int> ids)
    {
        Check(ids);
        if (ids.IsEmpty)
            return;
        if (_ids.Count == 0)
            _prompt = ids.Length;
        if (StateSize > 0)
            Remember(ids.ToArray());
        _ids.AddRange(ids);
    }

    /// <inheritdoc/>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (length >= _ids.Count)
            return;
        _ids.RemoveRange(length, _ids.Count - length);
        if (StateSize > 0)
            _states.RemoveRange(length * StateSize, _states.Count - (length * StateSize));
        foreach (var run in _runs)
            run.Truncate(length);
    }

    /// <inheritdoc/>
    public void NextLogits(Span<float> logits)
    {
        if (logits.Length != _ensemble.VocabularySize)
            throw new ArgumentException($"{logits.Length} places for {_ensemble.VocabularySize} logits", nameof(logits));
        RequireToken();
        if (_ensemble.Leader is { } leader)
        {
            Next(_ensemble.RunOf[leader.Leader]);
            if (leader.DecidesAlone<float>(_rows[_ensemble.RunOf[leader.Leader]].AsSpan(0, logits.Length), logits))
                return;
        }

        CatchUp();
        if (NextRow() is { } row && row.TryRead(_next, 0, _ensemble.Joined!.At(Step()), logits))
            return;
        _ensemble.ForRuns(run =>
        {
            if (_ensemble.Leader is not { } one || run != _ensemble.RunOf[one.Leader])
                Next(run);
        });
        _ensemble.Combine(Step(), _rows, 0, _members, logits);
    }

    /// <inheritdoc/>
    public TokenScores Score(ReadOnlySpan<int> continuation)
    {
        if (StateSize == 0)
        {
            using var rows = Rows(continuation);
            var scores = rows.Score(continuation.ToArray(), withArgMax: true);
            return new TokenScores(scores.LogProbs, scores.IsArgMax);
        }

        var (result, law) = (new TokenScores(new float[continuation.Length], new bool[continuation.Length]), new float[_ensemble.VocabularySize]);
        for (var i = 0; i < continuation.Length; i++)
        {
            NextLogits(law);
            (result.LogProbs[i], result.IsArgMax[i]) = (law[continuation[i]], RowMath.ArgMax<float>(law) == continuation[i]);
            Append(continuation.Slice(i, 1));
        }

        return result;
    }

    /// <inheritdoc/>
    public float[] LogProbs(ReadOnlySpan<int> continuation)
    {
        if (_ensemble.TokenRule is not { } rule || StateSize > 0)
            return Score(continuation).LogProbs;
        Check(continuation);
        RequireToken();
        var runs = TokenLogProbs(continuation.ToArray());
        _ids.AddRange(continuation);
        return TokenScoring.Combine(_ensemble, rule, runs);
    }

    /// <summary>The laws of a continuation's tokens, which are appended; for a rule without memory.</summary>
    public EnsembleRows Rows(ReadOnlySpan<int> continuation)
    {
        Check(continuation);
        RequireToken();
        var (parts, ids) = (new ILogitRows[_runs.Length], continuation.ToArray());
        CatchUp();
        _ensemble.ForRuns(run => parts[run] = _ensemble.Runs[run].Rows(_runs[run], ids));
        var steps = StepTable.Of(_ensemble, _ids.Count, _prompt, _ids[^1], continuation);
        _ids.AddRange(continuation);
        return new EnsembleRows(_ensemble, parts, steps);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var run in _runs)
            run.Dispose();
    }

    private void Check(ReadOnlySpan<int> ids)
    {
        _ensemble.CheckIds(ids);
        if (_ids.Count + (long)ids.Length > _ensemble.MaxLength)
            throw new InputException($"{_ensemble.Name}: a sequence of {_ids.Count + (long)ids.Length} tokens is longer than the context of {_ensemble.MaxLength}");
    }

    private void RequireToken()
    {
        if (_ids.Count == 0)
            throw new InputException($"{_ensemble.Name}: a next token needs at least one token before it");
    }

    private void Next(int run)
    {
        CatchUp(run);
        if (_rows[run].Length == 0)
            _rows[run] = new float[_ensemble.Runs[run].VocabularySize];
        _runs[run].NextLogits(_rows[run]);
    }

    private void CatchUp(int run)
    {
        if (_runs[run].Length < _ids.Count)
            _runs[run].Append(CollectionsMarshal.AsSpan(_ids)[_runs[run].Length..]);
    }

    /// <summary>Feeds every run what it lacks; runs that share their weights are fed together.</summary>
    private void CatchUp()
    {
        _ensemble.ForGroups(group =>
        {
            var (owner, runs) = _ensemble.Groups[group];
            var parts = runs.Where(run => _runs[run].Length < _ids.Count)
                .Select(run => PrefixedModel.Unwrap(_runs[run], CollectionsMarshal.AsSpan(_ids)[_runs[run].Length..].ToArray())).ToArray();
            if (parts.Length > 0)
                owner.Append(parts);
        });
    }

    /// <summary>The first run's next row, where the rule can be carried out on the rows of all; they stand in <see cref="_next"/>.</summary>
    private IJoinableRows? NextRow()
    {
        if (_ensemble.Joined is null)
            return null;
        for (var run = 0; run < _runs.Length; run++)
        {
            if (_runs[run].NextRow() is not { } row)
                return null;
            _next[run] = row;
        }

        return (IJoinableRows)_next[0];
    }

    private StepContext Step() => new()
    {
        Position = _ids.Count,
        PromptLength = _prompt,
        LastClass = _ensemble.ClassOf(_ids[^1]),
        State = StateSize == 0 ? default : CollectionsMarshal.AsSpan(_states)[^StateSize..],
    };

    /// <summary>Feeds tokens to every run and returns what each gave to them; the first token of a sequence has no law.</summary>
    private float[][] TokenLogProbs(int[] ids)
    {
        var logProbs = new float[_runs.Length][];
        CatchUp();
        _ensemble.ForRuns(run =>
        {
            if (_ids.Count == 0)
                _runs[run].Append(ids.AsSpan(0, 1));
            logProbs[run] = _ids.Count > 0 ? _runs[run].LogProbs(ids) : [0, .. _runs[run].LogProbs(ids.AsSpan(1))];
        });
        return logProbs;
    }

    private void Remember(int[] ids)
    {
        if (_ids.Count == 0 && _ensemble.PromptRule is { } rule)
            RememberPrompt(rule, ids);
        else if (_ids.Count > 0 && !Enumerable.Range(_ids.Count, ids.Length).Any(position => _ensemble.Combiner.Observes(position, _prompt)))
            foreach (var _ in ids)
                _states.AddRange(_states[^StateSize..]);
        else
            Observe(ids, TokenLogProbs(ids));
    }

    private void RememberPrompt(IPromptCombiner rule, int[] ids)
    {
        var state = new PromptMemory(_ensemble, rule).Of(ids, run =>
        {
            _runs[run].Append(ids.AsSpan(0, 1));
            return _ensemble.Runs[run].Rows(_runs[run], ids.AsSpan(1));
        });
        var before = new double[StateSize];
        rule.Begin(before);
        for (var i = 0; i < ids.Length; i++)
            _states.AddRange(i == ids.Length - 1 ? state : before);
    }

    private void Observe(ReadOnlySpan<int> ids, float[][] runs)
    {
        var (combiner, next) = (_ensemble.Combiner, new double[StateSize]);
        Span<double> token = stackalloc double[combiner.Members];
        for (var i = 0; i < ids.Length; i++)
        {
            var position = _ids.Count + i;
            if (position == 0)
            {
                combiner.Begin(next);
            }
            else
            {
                for (var k = 0; k < token.Length; k++)
                    token[k] = _ensemble.RunOf[k] is >= 0 and var run ? runs[run][i] : 0;
                var step = new StepContext
                {
                    Position = position,
                    PromptLength = _prompt,
                    LastClass = _ensemble.ClassOf(i > 0 ? ids[i - 1] : _ids[^1]),
                    State = CollectionsMarshal.AsSpan(_states)[^StateSize..],
                };
                combiner.Observe(step, token, next);
            }

            _states.AddRange(next);
        }
    }
}
