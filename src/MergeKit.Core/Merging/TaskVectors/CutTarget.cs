namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Which of the entries of equal magnitude at a cut count as on its first side. In ascending order the lower flat index counts as
/// smaller; keeping the largest, the lower index is kept first.</summary>
internal enum CutSide
{
    /// <summary>The rank is the number of entries kept; first side: the ties that are kept.</summary>
    KeepLargest,

    /// <summary>The rank is the number of entries left when the smallest are dropped; first side: the ties that are dropped.</summary>
    DropSmallest,

    /// <summary>The rank is one more than the number of largest entries dropped; first side: the ties that are kept.</summary>
    DropLargest,

    /// <summary>Only the value at that rank is wanted.</summary>
    Value,
}

/// <summary>One row of a chunk, as stored or computed into a scratch row.</summary>
internal delegate ReadOnlySpan<float> RowOf(Chunk chunk);

/// <summary>A cut to be found: through the magnitudes |value - origin| at a rank.</summary>
/// <param name="Values">The values; asked before the origin.</param>
/// <param name="Origin">What is subtracted from them.</param>
/// <param name="Rank">Rank from the largest, from 1.</param>
/// <param name="Side">What happens to ties.</param>
internal sealed record CutTarget(RowOf Values, RowOf Origin, long Rank, CutSide Side)
{
    /// <summary>A cut through a task vector.</summary>
    public static CutTarget OfDelta(TensorInputs inputs, int source, long rank, CutSide side)
    {
        var baseIndex = inputs.Job.BaseIndex;
        return new CutTarget(chunk => chunk.Source(source), chunk => chunk.Source(baseIndex), rank, side);
    }

    /// <summary>A cut through values that are not negative, computed into scratch row 0. Scratch row 1 is used too.</summary>
    public static CutTarget OfValues(Action<Chunk> compute, long rank, CutSide side) => new(
        chunk =>
        {
            compute(chunk);
            return chunk.Scratch(0);
        },
        chunk =>
        {
            var zeros = chunk.Scratch(1);
            zeros.Clear();
            return zeros;
        },
        rank,
        side);
}
