namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>The memory of one search: the ways not yet tried, and stored positions.</summary>
internal sealed class MatchState(int registers)
{
    private const int MaxFrames = 1 << 24;
    private Frame[] _frames = new Frame[64];
    private long _steps;

    /// <summary>Stored positions; -1 where nothing is stored.</summary>
    public int[] Registers { get; } = new int[registers];

    /// <summary>Number of frames held.</summary>
    public int Depth { get; set; }

    /// <summary>A way to go on, or a position to put back.</summary>
    /// <param name="Step">Where to go on; below zero, the complement of the register to put back.</param>
    /// <param name="Position">The position to go on at, or the old value.</param>
    /// <param name="Limit">For a greedy run, the position below which it gives nothing back; for a lazy one the complement
    /// of how many more it may take; else <see cref="Plain"/>.</param>
    public readonly record struct Frame(int Step, int Position, int Limit);

    /// <summary>The limit of a frame that is neither kind of run.</summary>
    public const int Plain = int.MinValue;

    /// <summary>Forgets everything, for a text of that length.</summary>
    public void Reset(int length)
    {
        Array.Fill(Registers, -1);
        Depth = 0;
        _steps = 1_000_000 + 200L * length;
    }

    /// <summary>Counts a step.</summary>
    public void Spend()
    {
        if (--_steps < 0)
            throw new ExhaustedException();
    }

    /// <summary>Remembers a way.</summary>
    public void Push(int step, int position, int limit = Plain)
    {
        if (Depth == _frames.Length)
        {
            if (Depth >= MaxFrames)
                throw new ExhaustedException();
            Array.Resize(ref _frames, 2 * Depth);
        }

        _frames[Depth++] = new Frame(step, position, limit);
    }

    /// <summary>Takes the last way back.</summary>
    public Frame Pop() => _frames[--Depth];

    /// <summary>Forgets the ways from a depth on, but keeps the positions to put back.</summary>
    public void Commit(int depth)
    {
        var kept = depth;
        for (var i = depth; i < Depth; i++)
            if (_frames[i].Step < 0)
                _frames[kept++] = _frames[i];
        Depth = kept;
    }

    /// <summary>Takes back everything from a depth on, putting positions back.</summary>
    public void Undo(int depth)
    {
        while (Depth > depth)
            if (Pop() is { Step: < 0 } frame)
                Registers[~frame.Step] = frame.Position;
    }

    /// <summary>The search went on for too long.</summary>
    public sealed class ExhaustedException : Exception;
}
