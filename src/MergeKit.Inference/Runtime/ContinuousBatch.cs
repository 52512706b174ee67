using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Greedy generation for many prompts: one token for every running sequence per pass; where one ends, the next prompt takes its place
/// (Orca, OSDI 2022).</summary>
internal sealed class ContinuousBatch(string name, Engine engine)
{
    private const int Slots = 32;
    private readonly List<Running> _running = [];
    private (List<Running> Sequences, IPendingIds Ids)? _ahead;

    /// <summary>Continues all prompts; see <see cref="Core.Models.IBatchGenerator"/>.</summary>
    public void Run(IReadOnlyList<ReadOnlyMemory<int>> prompts, Func<int, int, bool> goOn, CancellationToken cancellation)
    {
        foreach (var prompt in prompts)
            Check(prompt);
        try
        {
            for (var next = 0; next < prompts.Count || _running.Count > 0;)
            {
                cancellation.ThrowIfCancellationRequested();
                var admitted = _ahead is null ? Admissible(prompts, next) : 0;
                if (admitted > 0)
                    Admit(prompts, next, admitted, goOn);
                else
                    Step(goOn);
                next += admitted;
            }
        }
        finally
        {
            _running.ForEach(running => running.Cache.Dispose());
        }
    }

    private void Check(ReadOnlyMemory<int> prompt)
    {
        if (prompt.IsEmpty)
            throw new InputException($"{name}: a next token needs at least one token before it");
        engine.CheckIds(name, prompt.Span);
        engine.CheckLength(name, prompt.Length);
    }

    /// <summary>Prompts that fit into free slots and one pass; one at least where a slot is free.</summary>
    private int Admissible(IReadOnlyList<ReadOnlyMemory<int>> prompts, int next)
    {
        var (count, tokens) = (0, 0L);
        while (next + count < prompts.Count && _running.Count + count < Slots)
        {
            tokens += prompts[next + count].Length;
            if (count > 0 && tokens > engine.Backend.TokensPerPass)
                break;
            count++;
        }

        return count;
    }

    private void Admit(IReadOnlyList<ReadOnlyMemory<int>> prompts, int first, int count, Func<int, int, bool> goOn)
    {
        var admitted = Enumerable.Range(first, count).Select(index => new Running(index, engine.Backend.CreateCache(), prompts[index].Length)).ToList();
        _running.AddRange(admitted);
        if (count == 1)
        {
            foreach (var part in PassPlanner.Split(engine, prompts[first][..^1]))
                Forward([new SequencePart(admitted[0].Cache, part, prompts[first].Length)], []);
            Draw(admitted, Forward([new SequencePart(admitted[0].Cache, prompts[first][^1..])], [0]), goOn);
            return;
        }

        var ends = new int[count];
        for (var i = 0; i < count; i++)
            ends[i] = (i == 0 ? -1 : ends[i - 1]) + prompts[first + i].Length;
        Draw(admitted, Forward([.. admitted.Select(running => new SequencePart(running.Cache, prompts[running.Index]))], ends), goOn);
    }

    /// <summary>Reads a step's tokens after the next step was queued, so that the device does not wait for the host. What such a step draws for a
    /// sequence that turns out to have ended is dropped.</summary>
    private void Step(Func<int, int, bool> goOn)
    {
        var (sequences, ids) = _ahead ?? Queue([.. _running], null);
        var canFollow = ids is not KnownIds && sequences.TrueForAll(running => running.Length < engine.Network.MaxLength);
        _ahead = canFollow ? Queue(sequences, ids) : null;
        Draw(sequences, ids.Wait().Span, goOn);
        if (_running.Count == sequences.Count || _ahead is not { } late)
            return;
        _ahead = null;
        var drawn = late.Ids.Wait();
        var left = late.Sequences.Select((running, i) => (running, id: drawn.Span[i])).Where(pair => _running.Contains(pair.running)).ToList();
        Draw([.. left.Select(pair => pair.running)], [.. left.Select(pair => pair.id)], goOn);
    }

    private (List<Running> Sequences, IPendingIds Ids) Queue(List<Running> sequences, IPendingIds? ids)
    {
        var batch = ids is null
            ? ForwardBatch.Continue(sequences.ConvertAll(running => new SequencePart(running.Cache, new[] { running.Last })))
            : ForwardBatch.Follow(sequences.ConvertAll(running => running.Cache), ids);
        using (engine.Enter())
            return (sequences, engine.Backend.QueueArgMax(engine.Weights.Head, engine.Transformer.Forward(batch)));
    }

    /// <summary>A pass, and the most probable token after some of its rows.</summary>
    private int[] Forward(IReadOnlyList<SequencePart> parts, int[] rows)
    {
        var ids = new int[rows.Length];
        using (engine.Enter())
            engine.Backend.ArgMax(engine.Weights.Head, engine.Transformer.Forward(ForwardBatch.Continue(parts)), rows, ids);
        return ids;
    }

    private void Draw(IReadOnlyList<Running> sequences, ReadOnlySpan<int> ids, Func<int, int, bool> goOn)
    {
        for (var i = 0; i < ids.Length; i++)
        {
            var running = sequences[i];
            if (ids[i] < 0)
                throw new InputException($"{name}: the model gives no usable logits: the largest is not finite");
            (running.Last, running.Length) = (ids[i], running.Length + 1);
            if (goOn(running.Index, ids[i]) && running.Length <= engine.Network.MaxLength)
                continue;
            running.Cache.Dispose();
            _running.Remove(running);
        }
    }

    private sealed class Running(int index, IKvCache cache, int length)
    {
        public int Index => index;

        public IKvCache Cache => cache;

        /// <summary>Tokens, the last one drawn included.</summary>
        public int Length { get; set; } = length;

        public int Last { get; set; }
    }
}
