namespace MergeKit.Core.Checkpoints;

/// <summary>A weight file as it was when it was opened.</summary>
/// <param name="File">Its path.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Changed">Its time of change (UTC).</param>
public sealed record CheckpointFile(string File, long Length, DateTime Changed)
{
    /// <summary>Free-form strings that the file carries.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether the file on the disk is no longer the one that was opened, as far as its length and time of change tell.</summary>
    public bool IsStale => Now(File) is var now && (!now.Exists || now.Length != Length || now.LastWriteTimeUtc != Changed);

    /// <summary>The file as it is now.</summary>
    public static CheckpointFile Of(string path)
    {
        var now = Now(path);
        return new CheckpointFile(path, now.Length, now.LastWriteTimeUtc);
    }

    /// <summary>The file, or the file that a link leads to (the hub's cache is made of links).</summary>
    private static FileInfo Now(string path)
    {
        var file = new FileInfo(path);
        return file is { Exists: true, LinkTarget: not null } && file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target : file;
    }
}
