using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>What a rule that looks at the whole prompt remembers of it.</summary>
/// <param name="ensemble">The ensemble.</param>
/// <param name="rule">Its rule.</param>
internal sealed class PromptMemory(Ensemble ensemble, IPromptCombiner rule)
{
    private int[] _prompt = [];
    private double[] _state = [];

    /// <summary>The memory after the context of a request; neighbours with one context share it.</summary>
    public double[] Of(ReadOnlyMemory<int> context)
    {
        if (context.Span.SequenceEqual(_prompt))
            return _state;
        _prompt = context.ToArray();
        var request = new ScoreRequest(context[..1], context[1..]);
        return _state = Of(_prompt, run => ensemble.Runs[run].Rows([request]));
    }

    /// <summary>The memory after a prompt, of which every run's laws from the second token on can be opened.</summary>
    public double[] Of(ReadOnlySpan<int> prompt, Func<int, ILogitRows> open)
    {
        var state = new double[rule.StateSize];
        rule.Begin(state);
        if (prompt.Length < 2)
            return state;
        var rows = new ILogitRows[ensemble.Runs.Length];
        try
        {
            ensemble.ForRuns(run => rows[run] = open(run));
            RowLogits[] members = [.. ensemble.RunOf.Select(run => new RowLogits(rows[run], ensemble.Runs[run].VocabularySize, ensemble.VocabularySize))];
            rule.ObservePrompt(members, prompt[1..].ToArray(), state);
            return state;
        }
        finally
        {
            foreach (var row in rows)
                row?.Dispose();
        }
    }
}
