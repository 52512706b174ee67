namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Decode steps as CUDA graphs: the second step of a form is recorded, later ones are replayed as long as no buffer has moved.</summary>
internal sealed class CudaReplay(CudaContext cuda) : IDisposable
{
    private const int MostGraphs = 128;
    private readonly Dictionary<(int Sequences, int TableStride, int Plan), Entry> _entries = [];

    /// <summary>Runs a step whose form <paramref name="key"/> describes: what decides launches beside the contents of buffers.</summary>
    public void Run((int Sequences, int TableStride, int Plan) key, Action pass)
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

    private void Forget((int Sequences, int TableStride, int Plan) key)
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
