namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The form of a decode step: what decides launches beside the contents of buffers.</summary>
/// <param name="Weights">What it computes with; compared by identity.</param>
/// <param name="Sequences">Its sequences.</param>
/// <param name="TableStride">Entries of a sequence's page table.</param>
/// <param name="Plan">See <see cref="CudaDecode.Key"/>.</param>
internal sealed record StepKey(NetworkWeights Weights, int Sequences, int TableStride, int Plan)
{
    /// <inheritdoc/>
    public bool Equals(StepKey? other) =>
        other is not null && ReferenceEquals(Weights, other.Weights) && (Sequences, TableStride, Plan) == (other.Sequences, other.TableStride, other.Plan);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(Weights), Sequences, TableStride, Plan);
}

/// <summary>Decode steps as CUDA graphs: the second step of a form is recorded, later ones are replayed as long as no buffer has moved.</summary>
internal sealed class CudaReplay(CudaContext cuda) : IDisposable
{
    private const int MostGraphs = 128;
    private readonly Dictionary<StepKey, Entry> _entries = [];

    /// <summary>Runs a step whose form <paramref name="key"/> describes.</summary>
    public void Run(StepKey key, Action pass)
    {
        var moves = cuda.Memory.Moves;
        if (!_entries.TryGetValue(key, out var entry) || entry.Moves != moves)
        {
            Forget(key);
            pass();
            if (_entries.Count >= MostGraphs)
                Clear();
            _entries[key] = new Entry(cuda.Memory.Moves);
            return;
        }

        if (entry.Graph is null)
            Record(entry, pass);
        foreach (var (buffer, rows, columns, type) in entry.Shapes)
            buffer.Resize(rows, columns, type);
        entry.Graph!.Launch(cuda.Stream);
    }

    public void Dispose() => Clear();

    private void Record(Entry entry, Action pass)
    {
        var touched = cuda.Touched = [];
        try
        {
            entry.Graph = cuda.Stream.Capture(pass);
        }
        finally
        {
            cuda.Touched = null;
        }

        entry.Shapes = [.. touched.Select(buffer => (buffer, buffer.Rows, buffer.Columns, buffer.Type))];
    }

    private void Forget(StepKey key)
    {
        if (_entries.Remove(key, out var old))
            old.Graph?.Dispose();
    }

    private void Clear()
    {
        foreach (var entry in _entries.Values)
            entry.Graph?.Dispose();
        _entries.Clear();
    }

    private sealed class Entry(int moves)
    {
        public int Moves => moves;

        public CudaGraph? Graph { get; set; }

        /// <summary>Shapes of the buffers that the pass wrote, as it left them.</summary>
        public IReadOnlyList<(CudaBuffer Buffer, int Rows, int Columns, CudaType Type)> Shapes { get; set; } = [];
    }
}
