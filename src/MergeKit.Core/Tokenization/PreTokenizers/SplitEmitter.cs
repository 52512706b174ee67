namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary>What becomes of the delimiters that a pattern finds.</summary>
internal enum SplitBehavior
{
    /// <summary>They are dropped.</summary>
    Removed,

    /// <summary>Each is a piece of its own.</summary>
    Isolated,

    /// <summary>Each ends the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>Each begins the piece after it.</summary>
    MergedWithNext,

    /// <summary>Neighbouring delimiters make one piece.</summary>
    Contiguous,
}

/// <summary>Turns the alternation of delimiters and other text into pieces.</summary>
internal ref struct SplitEmitter(Piece piece, SplitBehavior behavior, IPieceSink sink)
{
    private int _start;
    private int _end;
    private bool _held;
    private bool _heldDelimiter;

    /// <summary>Takes the next segment; indices count from the start of the piece.</summary>
    public void Segment(int start, int end, bool delimiter)
    {
        if (delimiter && behavior == SplitBehavior.Removed)
            return;
        var joins = _held && behavior switch
        {
            SplitBehavior.Contiguous => delimiter == _heldDelimiter,
            SplitBehavior.MergedWithPrevious => delimiter && !_heldDelimiter,
            SplitBehavior.MergedWithNext => !delimiter && _heldDelimiter,
            _ => false,
        };
        if (!joins)
        {
            Flush();
            _start = start;
        }

        (_end, _held, _heldDelimiter) = (end, true, delimiter);
    }

    /// <summary>Hands on what is held.</summary>
    public void Flush()
    {
        if (_held && _start < _end)
            sink.Add(piece.Slice(_start, _end));
        _held = false;
    }
}
