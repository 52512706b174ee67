namespace MergeKit.Core.Merging.Execution;

/// <summary>How far a run is; read it from any thread.</summary>
public sealed class MergeProgress
{
    private long _bytes;
    private int _tensors;
    private int _resumed;

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

    internal void AddResumed() => Interlocked.Increment(ref _resumed);

    internal void AddTensor() => Interlocked.Increment(ref _tensors);
}
