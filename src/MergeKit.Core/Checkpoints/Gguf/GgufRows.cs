namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>The order of a matrix's rows: which row of one side stands where on the other.</summary>
/// <param name="ToFile">The file's row of a model's row.</param>
/// <param name="ToModel">The model's row of a file's row.</param>
internal sealed record GgufRows(Func<long, long> ToFile, Func<long, long> ToModel)
{
    /// <summary>Row (head, half, j) of the model is row (head, j, half) of the file.</summary>
    /// <param name="rows">Rows of a head.</param>
    public static GgufRows Interleaved(long rows) => new(
        row => row / rows * rows + row % rows % (rows / 2) * 2 + row % rows / (rows / 2),
        row => row / rows * rows + row % rows % 2 * (rows / 2) + row % rows / 2);

    /// <summary>The model has, for each key-value head, its query heads, its key head and its value head.</summary>
    /// <param name="heads">Query heads.</param>
    /// <param name="keyHeads">Key-value heads.</param>
    /// <param name="rows">Rows of a head.</param>
    public static GgufRows Grouped(long heads, long keyHeads, long rows)
    {
        var group = heads / keyHeads;
        return new(
            row =>
            {
                var (head, within) = Math.DivRem(row, rows);
                var (kv, slot) = Math.DivRem(head, group + 2);
                return (slot < group ? kv * group + slot : heads + (slot - group) * keyHeads + kv) * rows + within;
            },
            row =>
            {
                var (head, within) = Math.DivRem(row, rows);
                var (kv, slot) = head < heads ? (head / group, head % group) : ((head - heads) % keyHeads, group + (head - heads) / keyHeads);
                return (kv * (group + 2) + slot) * rows + within;
            });
    }
}

/// <summary>Heads and what the order of rows depends on, of one model.</summary>
/// <param name="Family">Its family.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyHeads">Key-value heads.</param>
/// <param name="GroupsQkv">Whether the model has queries, keys and values by key-value head.</param>
internal sealed record GgufForm(GgufFamily Family, int Heads, int KeyHeads, bool GroupsQkv)
{
    /// <summary>The order of a tensor's rows; null where both sides have the same.</summary>
    /// <param name="change">What the tensor is.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="problem">Where its rows do not fit the heads: what is wanted.</param>
    public GgufRows? RowsOf(GgufChange change, long rows, out string? problem)
    {
        problem = null;
        if (change == GgufChange.GroupedQkv && GroupsQkv)
        {
            var parts = Heads + 2L * KeyHeads;
            if (KeyHeads < 1 || Heads % KeyHeads != 0 || rows % parts != 0)
                problem = $"a multiple of {parts} rows ({Heads} query, {KeyHeads} key and {KeyHeads} value heads)";
            return problem is null ? GgufRows.Grouped(Heads, KeyHeads, rows / parts) : null;
        }

        if (!Family.Interleaves || change is not (GgufChange.Queries or GgufChange.Keys))
            return null;
        var heads = change == GgufChange.Queries ? Heads : KeyHeads;
        if (heads < 1 || rows == 0 || rows % (2L * heads) != 0)
            problem = $"a multiple of {2 * heads} rows ({heads} heads of two halves)";
        return problem is null ? GgufRows.Interleaved(rows / heads) : null;
    }
}
