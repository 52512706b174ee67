namespace MergeKit.Core.Merging.Transplanting;

/// <summary>How far a transplant is; read it from any thread.</summary>
public sealed class TransplantProgress
{
    private long _done;

    /// <summary>What is counted.</summary>
    public string Stage { get; private set; } = "";

    /// <summary>How many there are.</summary>
    public long Total { get; private set; }

    /// <summary>How many are finished.</summary>
    public long Done => Volatile.Read(ref _done);

    internal void Begin(long total, string stage)
    {
        Volatile.Write(ref _done, 0);
        (Total, Stage) = (total, stage);
    }

    internal void Add(int count) => Interlocked.Add(ref _done, count);
}
