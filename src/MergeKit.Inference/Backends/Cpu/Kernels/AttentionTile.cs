namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A task of attention: some queries of one sequence, of the query heads of one key-value head, over a range of keys.</summary>
/// <param name="Sequence">Index of the sequence.</param>
/// <param name="KvHead">Index of the head.</param>
/// <param name="FirstQuery">First query.</param>
/// <param name="Queries">Queries.</param>
/// <param name="FirstKey">First key, a multiple of <see cref="AttentionScratch.KeyBlock"/>.</param>
/// <param name="EndKey">The key after the last.</param>
/// <param name="TakesSink">Whether the sinks, if any, count here: in one of the parts of the keys.</param>
/// <param name="Part">Which part of a divided range of keys this is, counted over all tiles; -1 where the range is not divided.</param>
internal readonly record struct AttentionTile(
    int Sequence, int KvHead, int FirstQuery, int Queries, int FirstKey, int EndKey, bool TakesSink, int Part);

/// <summary>The parts that make up the result of some queries of one key-value head's group.</summary>
/// <param name="Tile">The first part's tile.</param>
/// <param name="Parts">How many parts follow one another.</param>
internal readonly record struct AttentionMerge(AttentionTile Tile, int Parts);

/// <summary>
/// A worker's memory for one <see cref="AttentionTile"/>. A row is a query of a head: all queries of the group's first head, then of the
/// next.
/// </summary>
internal readonly unsafe struct AttentionScratch
{
    /// <summary>Keys of a block; a multiple of every micro-kernel's columns.</summary>
    public const int KeyBlock = 128;

    private const int Align = 16;

    /// <summary>Lays the pieces out one after the other.</summary>
    /// <param name="memory">At least <see cref="Floats"/> floats.</param>
    /// <param name="rows">Query heads of the group times queries.</param>
    /// <param name="keyDimension">Length of a key.</param>
    /// <param name="valueDimension">Length of a value.</param>
    /// <param name="tileRows">Rows of the micro-kernel.</param>
    /// <param name="tileColumns">Columns of the micro-kernel that multiplies values.</param>
    public AttentionScratch(float* memory, int rows, int keyDimension, int valueDimension, int tileRows, int tileColumns)
    {
        OutputWidth = (valueDimension + tileColumns - 1) / tileColumns * tileColumns;
        S = memory;
        Ramp = S + (tileRows * KeyBlock);
        K = Ramp + KeyBlock;
        Q = K + (KeyBlock * keyDimension);
        O = Q + RoundUp((long)rows * keyDimension);
        Maximum = O + ((long)rows * OutputWidth);
        Sum = Maximum + RoundUp(rows);
        V = OutputWidth == valueDimension ? null : Sum + RoundUp(rows);
        for (var i = 0; i < KeyBlock; i++)
            Ramp[i] = i;
    }

    /// <summary>Width of a row of <see cref="O"/>: the value dimension, rounded up to the columns of the micro-kernel that multiplies values.</summary>
    public int OutputWidth { get; }

    /// <summary>Scores, then weights: tile rows x key block.</summary>
    public float* S { get; }

    /// <summary>0, 1, 2, ... key block - 1.</summary>
    public float* Ramp { get; }

    /// <summary>Panels of keys: per micro-kernel's columns, key dimension x columns.</summary>
    public float* K { get; }

    /// <summary>Scaled queries: rows x key dimension.</summary>
    public float* Q { get; }

    /// <summary>Unnormalised outputs: rows x <see cref="OutputWidth"/>.</summary>
    public float* O { get; }

    /// <summary>Running maximum of each row.</summary>
    public float* Maximum { get; }

    /// <summary>Running sum of each row.</summary>
    public float* Sum { get; }

    /// <summary>Values padded with zeros to <see cref="OutputWidth"/>; null where they are read in place.</summary>
    public float* V { get; }

    /// <summary>Floats to reserve.</summary>
    public static long Floats(int rows, int keyDimension, int valueDimension, int tileRows, int tileColumns)
    {
        long width = (valueDimension + tileColumns - 1) / tileColumns * tileColumns;
        return ((long)tileRows * KeyBlock) + KeyBlock + ((long)KeyBlock * keyDimension) + RoundUp((long)rows * keyDimension) + (rows * width) + (2 * RoundUp(rows)) + (KeyBlock * width);
    }

    private static long RoundUp(long floats) => (floats + Align - 1) / Align * Align;
}
