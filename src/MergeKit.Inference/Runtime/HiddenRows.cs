using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Laws of many positions, kept as the hidden states before the output matrix: the matrix is applied when rows are read.</summary>
internal sealed class HiddenRows(Engine engine) : ILogitRows
{
    private readonly List<(int First, IBuffer States)> _parts = [];

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
            var (start, states) = _parts.FindLast(part => part.First <= first);
            var count = Math.Min(logits.Length / vocabulary, start + states.Rows - first);
            using (engine.Enter())
                engine.Backend.LogitRows(engine.Weights.Head, states, first - start, logits[..(count * vocabulary)]);
            first += count;
            logits = logits[(count * vocabulary)..];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _parts.ForEach(part => part.States.Dispose());
}
