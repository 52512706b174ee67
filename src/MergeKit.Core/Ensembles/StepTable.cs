using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>What a combiner may know at each row of a batch of requests.</summary>
internal sealed class StepTable
{
    private readonly List<(int Position, int Prompt, TokenClass Last)> _rows = [];
    private readonly List<double> _states = [];
    private readonly int _stateSize;

    private StepTable(int stateSize) => _stateSize = stateSize;

    /// <summary>The place of one row.</summary>
    public StepContext this[int row] => new()
    {
        Position = _rows[row].Position,
        PromptLength = _rows[row].Prompt,
        LastClass = _rows[row].Last,
        State = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_states).Slice(row * _stateSize, _stateSize),
    };

    /// <summary>The rows that continue one sequence, by a rule without memory.</summary>
    public static StepTable Of(Ensemble ensemble, int position, int prompt, int last, ReadOnlySpan<int> continuation)
    {
        var table = new StepTable(0);
        foreach (var id in continuation)
        {
            table._rows.Add((position++, prompt, ensemble.ClassOf(last)));
            last = id;
        }

        return table;
    }

    /// <summary>The rows of requests. A rule with memory is told what every member gave to the tokens before, which costs a scoring of them.</summary>
    public static StepTable Of(Ensemble ensemble, IReadOnlyList<ScoreRequest> requests)
    {
        var table = new StepTable(ensemble.Combiner.StateSize);
        var prompts = ensemble.PromptRule is { } rule ? new PromptMemory(ensemble, rule) : null;
        var memory = table._stateSize == 0 || prompts is not null ? null : Memory.Of(ensemble, requests);
        for (var i = 0; i < requests.Count; i++)
        {
            int[] ids = [.. requests[i].Context.Span, .. requests[i].Continuation.Span];
            var prompt = requests[i].Context.Length;
            for (var position = prompt; position < ids.Length; position++)
            {
                table._rows.Add((position, prompt, ensemble.ClassOf(ids[position - 1])));
                if (prompts is not null)
                    table._states.AddRange(prompts.Of(requests[i].Context));
            }

            memory?.Walk(i, prompt, (position, state, _) =>
            {
                if (position >= prompt)
                    table._states.AddRange(state);
            });
        }

        return table;
    }
}
