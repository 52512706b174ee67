namespace MergeKit.Inference.Backends;

/// <summary>The new tokens of one sequence in a batch.</summary>
/// <param name="Start">Row of its first token.</param>
/// <param name="Count">Number of new tokens.</param>
/// <param name="Past">Positions its cache held before.</param>
/// <param name="RotaryLength">The length that rotary tables are made for, where they depend on it.</param>
/// <param name="Cache">Its keys and values.</param>
public readonly record struct SequenceSpan(int Start, int Count, int Past, int RotaryLength, IKvCache Cache);

/// <summary>Tokens that continue a sequence.</summary>
/// <param name="Cache">Its keys and values.</param>
/// <param name="Ids">The tokens.</param>
/// <param name="RotaryLength">The length that rotary tables are made for; that after these tokens where null. A pass that is cut
/// into parts gives all of them its final length, so that cutting changes nothing.</param>
public readonly record struct SequencePart(IKvCache Cache, ReadOnlyMemory<int> Ids, int? RotaryLength = null);

/// <summary>A ragged batch: the new tokens of several sequences one after the other, without padding.</summary>
public sealed class ForwardBatch
{
    private int[]? _ids;

    private ForwardBatch(int[]? ids, int[] positions, int[]? tokenTypes, SequenceSpan[] sequences) =>
        (_ids, Positions, TokenTypes, Sequences) = (ids, positions, tokenTypes, sequences);

    /// <summary>Token ids; waits for them where they are pending.</summary>
    public int[] Ids => _ids ??= Pending!.Wait().ToArray();

    /// <summary>Where the ids come from, in place of <see cref="Ids"/>; null where they were given.</summary>
    public IPendingIds? Pending { get; private init; }

    /// <summary>Position of each token in its sequence, counted from 0.</summary>
    public int[] Positions { get; }

    /// <summary>Rows of the position table; <see cref="Positions"/> unless stated otherwise.</summary>
    public int[] PositionRows { get; private init; } = [];

    /// <summary>Token types; null for all 0.</summary>
    public int[]? TokenTypes { get; }

    /// <summary>The sequences.</summary>
    public SequenceSpan[] Sequences { get; }

    /// <summary>Whether the caches are needed after this pass; where not, they may be left without it.</summary>
    public bool Retain { get; private init; } = true;

    /// <summary>Tokens in the batch.</summary>
    public int Tokens => Positions.Length;

    /// <summary>Lays out tokens that continue their caches.</summary>
    /// <param name="parts">The sequences.</param>
    /// <param name="retain">See <see cref="Retain"/>.</param>
    public static ForwardBatch Continue(IReadOnlyList<SequencePart> parts, bool retain = true)
    {
        var total = parts.Sum(part => part.Ids.Length);
        var (ids, positions, sequences) = (new int[total], new int[total], new SequenceSpan[parts.Count]);
        var start = 0;
        for (var i = 0; i < parts.Count; i++)
        {
            var (cache, tokens, length) = parts[i];
            tokens.Span.CopyTo(ids.AsSpan(start));
            for (var t = 0; t < tokens.Length; t++)
                positions[start + t] = cache.Length + t;
            sequences[i] = new SequenceSpan(start, tokens.Length, cache.Length, length ?? cache.Length + tokens.Length, cache);
            start += tokens.Length;
        }

        return new ForwardBatch(ids, positions, null, sequences) { PositionRows = positions, Retain = retain };
    }

    /// <summary>One token for each of some sequences: what a pass over them, which may still be under way, found most probable.</summary>
    public static ForwardBatch Follow(IReadOnlyList<IKvCache> caches, IPendingIds ids)
    {
        var positions = caches.Select(cache => cache.Length).ToArray();
        var spans = caches.Select((cache, i) => new SequenceSpan(i, 1, cache.Length, cache.Length + 1, cache)).ToArray();
        return new ForwardBatch(null, positions, null, spans) { PositionRows = positions, Pending = ids };
    }

    /// <summary>One whole sequence with rows of the position table and token types of its own.</summary>
    public static ForwardBatch Whole(IKvCache cache, int[] ids, int[] positionRows, int[] tokenTypes)
    {
        var positions = Enumerable.Range(0, ids.Length).ToArray();
        return new ForwardBatch(ids, positions, tokenTypes, [new SequenceSpan(0, ids.Length, 0, ids.Length, cache)]) { PositionRows = positionRows, Retain = false };
    }
}
