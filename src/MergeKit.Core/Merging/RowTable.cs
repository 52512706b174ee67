namespace MergeKit.Core.Merging;

/// <summary>Where a row comes from.</summary>
/// <param name="Matrix">Index of the matrix; negative for the special rows below.</param>
/// <param name="Row">The row in it.</param>
public readonly record struct RowSource(int Matrix, int Row)
{
    /// <summary>Zeros.</summary>
    public static RowSource Zero { get; } = new(-1, 0);

    /// <summary>The mean of the rows that the inputs have for the token.</summary>
    public static RowSource MeanOfOwners { get; } = new(-2, 0);

    /// <summary>The mean of all rows of the result that are tokens' (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").</summary>
    public static RowSource MeanOfRows { get; } = new(-3, 0);
}

/// <summary>How the rows of several matrices are numbered anew: an index per row and matrix, never a permutation matrix.</summary>
/// <param name="own">Per input matrix and output row: its row of the same token, or -1. Matrices that only lend rows come after the inputs and have none.</param>
/// <param name="defaults">Per output row: what inputs get that have no row of their own.</param>
/// <param name="forced">Output rows for which all inputs get the default.</param>
public sealed class RowTable(IReadOnlyList<int[]> own, RowSource[] defaults, IReadOnlySet<int> forced)
{
    /// <summary>Rows of the result.</summary>
    public int Rows => defaults.Length;

    /// <summary>Number of input matrices.</summary>
    public int Inputs => own.Count;

    /// <summary>Whether an output row is a token's, not padding.</summary>
    public bool IsToken(int row) => defaults[row] != RowSource.MeanOfRows;

    /// <summary>Where an input matrix's row of the result comes from.</summary>
    public RowSource Of(int input, int row) =>
        own[input][row] is >= 0 and var mine && (forced.Count == 0 || !forced.Contains(row)) ? new RowSource(input, mine) : defaults[row];

    /// <summary>The rows that the inputs have for a row of the result.</summary>
    public IEnumerable<RowSource> Owners(int row) =>
        Enumerable.Range(0, own.Count).Where(input => own[input][row] >= 0).Select(input => new RowSource(input, own[input][row]));

    /// <summary>Whether an input keeps all its rows where they are.</summary>
    public bool IsIdentity(int input, long rows) => rows == Rows && Enumerable.Range(0, Rows).All(row => Of(input, row) == new RowSource(input, row));
}
