namespace MergeKit.Core.Merging.Execution;

/// <summary>How far a run is; read it from any thread.</summary>
public sealed class MergeProgress
{
    private long _bytes;
    private int _tensors;
    private int _resumed;
    private int _matrices;
    private string? _matrix;

    /// <summary>Bytes of the result.</summary>
    public long TotalBytes { get; internal set; }

    /// <summary>Tensors of the result.</summary>
    public int TotalTensors { get; internal set; }

    /// <summary>Bytes written so far, or found finished.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Tensors finished so far.</summary>
    public int Tensors => Volatile.Read(ref _tensors);

    /// <summary>Tensors that an interrupted run had finished.</summary>
    public int ResumedTensors => Volatile.Read(ref _resumed);

    internal void AddBytes(long count) => Interlocked.Add(ref _bytes, count);

    /// <summary>Matrices to decompose.</summary>
    public int TotalMatrices { get; internal set; }

    /// <summary>Matrices decomposed so far, or found finished.</summary>
    public int Matrices => Volatile.Read(ref _matrices);

    /// <summary>The matrix that was last heard of, its shape, and how far it is; null while none is decomposed.</summary>
    public string? Matrix => Volatile.Read(ref _matrix);

    internal void AddResumed(int matrices)
    {
        Interlocked.Increment(ref _resumed);
        Interlocked.Add(ref _matrices, matrices);
    }

    internal void ShowMatrix(string text) => Volatile.Write(ref _matrix, text);

    internal void AddMatrix()
    {
        if (Interlocked.Increment(ref _matrices) >= TotalMatrices)
            Volatile.Write(ref _matrix, null);
    }

    internal void AddTensor() => Interlocked.Increment(ref _tensors);
}
