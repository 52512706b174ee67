using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Laws of many positions, kept as the hidden states before the output matrix: the matrix is applied when rows are read.</summary>
internal sealed class HiddenRows(Engine engine) : IJoinableRows
{
    private readonly List<(int First, IBuffer States)> _parts = [];

    /// <summary>A row whose state somebody else keeps, and who disposes of it.</summary>
    public static HiddenRows Of(Engine engine, IBuffer state)
    {
        var rows = new HiddenRows(engine) { Count = 1 };
        rows._parts.Add((0, state));
        return rows;
    }

    /// <inheritdoc/>
    public int Count { get; private set; }

    /// <summary>Takes rows of a pass's output. Called while the engine is entered.</summary>
    public void Take(IBuffer output, ReadOnlySpan<int> rows)
    {
        if (rows.IsEmpty)
            return;
        _parts.Add((Count, engine.Backend.CreateBuffer()));
        engine.Backend.CopyRows(output, rows, _parts[^1].States);
        Count += rows.Length;
    }

    /// <inheritdoc/>
    public void Read(int first, Span<float> logits)
    {
        var vocabulary = engine.Network.VocabularySize;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + (logits.Length / vocabulary), Count);
        while (!logits.IsEmpty)
        {
            var (states, row, left) = Find(first);
            var count = Math.Min(logits.Length / vocabulary, left);
            using (engine.Enter())
                engine.Backend.LogitRows(engine.Weights.Head, states, row, logits[..(count * vocabulary)]);
            first += count;
            logits = logits[(count * vocabulary)..];
        }
    }

    /// <inheritdoc/>
    public bool TryScore(
        IReadOnlyList<ILogitRows> members, int first, LawCombination combination, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        if (Parts(members) is not { } parts)
            return false;
        using var group = EngineGroup.Enter([.. parts.Select(part => part.Engine)]);
        for (var done = 0; done < targets.Length;)
        {
            var heads = Block(parts, first, done, targets.Length - done, combination);
            if (!engine.Backend.TryScoreCombined(heads, targets.Slice(done, heads.Rows), logProbs.Slice(done, heads.Rows), isArgMax.Slice(done, heads.Rows)))
                return false;
            done += heads.Rows;
        }

        return true;
    }

    /// <inheritdoc/>
    public bool TryRead(IReadOnlyList<ILogitRows> members, int first, LawCombination combination, Span<float> logProbs)
    {
        if (Parts(members) is not { } parts)
            return false;
        using var group = EngineGroup.Enter([.. parts.Select(part => part.Engine)]);
        var (size, count) = (combination.Vocabulary, logProbs.Length / combination.Vocabulary);
        for (var done = 0; done < count;)
        {
            var heads = Block(parts, first, done, count - done, combination);
            if (!engine.Backend.TryCombine(heads, logProbs.Slice(done * size, heads.Rows * size)))
                return false;
            done += heads.Rows;
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _parts.ForEach(part => part.States.Dispose());

    /// <summary>The members as rows of this kind; null where one is of another.</summary>
    private static HiddenRows[]? Parts(IReadOnlyList<ILogitRows> members) => members.All(member => member is HiddenRows) ? [.. members.Cast<HiddenRows>()] : null;

    /// <summary>As many rows as lie in one buffer of every member.</summary>
    private static CombinedHeads Block(HiddenRows[] members, int first, int done, int most, LawCombination combination)
    {
        var places = Array.ConvertAll(members, member => member.Find(first + done));
        var rows = Math.Min(most, places.Min(place => place.Left));
        return new CombinedHeads(
            [.. members.Zip(places, (member, place) => new HeadRows(member.Engine.Backend, member.Engine.Weights.Head, place.States, place.Row))], rows,
            combination with { Coefficients = combination.Coefficients.Slice(done * members.Length, rows * members.Length) });
    }

    /// <summary>Where a row lies, and how many rows there are from it on.</summary>
    private (IBuffer States, int Row, int Left) Find(int row)
    {
        var (start, states) = _parts.FindLast(part => part.First <= row);
        return (states, row - start, start + states.Rows - row);
    }

    private Engine Engine => engine;
}
