namespace MergeKit.Core.Models;

/// <summary>The laws of a continuation of a session that has no better way than token by token.</summary>
internal sealed class BufferedRows : ILogitRows
{
    private readonly float[][] _rows;

    public BufferedRows(ISession session, int vocabularySize, ReadOnlySpan<int> continuation)
    {
        _rows = new float[continuation.Length][];
        for (var i = 0; i < _rows.Length; i++)
        {
            session.NextLogits(_rows[i] = new float[vocabularySize]);
            session.Append(continuation.Slice(i, 1));
        }
    }

    /// <inheritdoc/>
    public int Count => _rows.Length;

    /// <inheritdoc/>
    public void Read(int first, Span<float> logits)
    {
        for (var rest = logits; !rest.IsEmpty; rest = rest[_rows[first++].Length..])
            _rows[first].CopyTo(rest);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
