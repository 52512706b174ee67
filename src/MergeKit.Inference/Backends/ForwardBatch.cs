namespace MergeKit.Inference.Backends;

/// <summary>The new tokens of one sequence in a batch.</summary>
/// <param name="Start">Row of its first token.</param>
/// <param name="Count">Number of new tokens.</param>
/// <param name="Past">Positions its cache held before.</param>
/// <param name="Cache">Its keys and values.</param>
public readonly record struct SequenceSpan(int Start, int Count, int Past, IKvCache Cache);

/// <summary>A ragged batch: the new tokens of several sequences one after the other, without padding.</summary>
public sealed class ForwardBatch
{
    private ForwardBatch(int[] ids, int[] positions, int[]? tokenTypes, SequenceSpan[] sequences) =>
        (Ids, Positions, TokenTypes, Sequences) = (ids, positions, tokenTypes, sequences);

    /// <summary>Token ids.</summary>
    public int[] Ids { get; }

    /// <summary>Position of each token in its sequence, counted from 0.</summary>
    public int[] Positions { get; }

    /// <summary>Rows of the position table; <see cref="Positions"/> unless stated otherwise.</summary>
    public int[] PositionRows { get; private init; } = [];

    /// <summary>Token types; null for all 0.</summary>
    public int[]? TokenTypes { get; }

    /// <summary>The sequences.</summary>
    public SequenceSpan[] Sequences { get; }

    /// <summary>Tokens in the batch.</summary>
    public int Tokens => Ids.Length;

    /// <summary>Lays out tokens that continue their caches.</summary>
    public static ForwardBatch Continue(IReadOnlyList<(IKvCache Cache, ReadOnlyMemory<int> Ids)> parts)
    {
        var total = parts.Sum(part => part.Ids.Length);
        var (ids, positions, sequences) = (new int[total], new int[total], new SequenceSpan[parts.Count]);
        var start = 0;
        for (var i = 0; i < parts.Count; i++)
        {
            var (cache, tokens) = parts[i];
            tokens.Span.CopyTo(ids.AsSpan(start));
            for (var t = 0; t < tokens.Length; t++)
                positions[start + t] = cache.Length + t;
            sequences[i] = new SequenceSpan(start, tokens.Length, cache.Length, cache);
            start += tokens.Length;
        }

        return new ForwardBatch(ids, positions, null, sequences) { PositionRows = positions };
    }

    /// <summary>One whole sequence with rows of the position table and token types of its own.</summary>
    public static ForwardBatch Whole(IKvCache cache, int[] ids, int[] positionRows, int[] tokenTypes)
    {
        var positions = Enumerable.Range(0, ids.Length).ToArray();
        return new ForwardBatch(ids, positions, tokenTypes, [new SequenceSpan(0, ids.Length, 0, cache)]) { PositionRows = positionRows };
    }
}
