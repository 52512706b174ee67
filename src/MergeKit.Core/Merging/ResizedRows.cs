namespace MergeKit.Core.Merging;

/// <summary>Embeddings and heads with another number of rows, in the same order.</summary>
public static class ResizedRows
{
    /// <summary>The leading rows of a matrix, or all of them and further ones behind, each the mean of the tokens' rows. Stored rows are kept, padding included.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="rows">Rows of the result; at least <paramref name="tokens"/>.</param>
    /// <param name="tokens">Rows of the matrix that are tokens': the mean is theirs.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer rows than tokens, or more tokens than rows are stored.</exception>
    public static ITensorSource Of(ITensorSource matrix, long width, int rows, int tokens)
    {
        var stored = checked((int)(matrix.Count / width));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, Math.Min(rows, stored));
        var (own, defaults) = (new int[rows], new RowSource[rows]);
        for (var row = 0; row < rows; row++)
            (own[row], defaults[row]) = (row < stored ? row : -1, row < tokens ? RowSource.Zero : RowSource.MeanOfRows);
        var table = new RowTable([own], defaults, new HashSet<int>());
        return rows == stored ? matrix : new GatheredRows(table, [matrix], 0, width);
    }
}
