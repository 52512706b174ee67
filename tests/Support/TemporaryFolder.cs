namespace MergeKit.Tests.Support;

/// <summary>A fresh folder that is gone after the test.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private const string SharedMemory = "/dev/shm";

    /// <summary>Makes the folder in the system's place for temporary files.</summary>
    public TemporaryFolder() => Path = Directory.CreateTempSubdirectory("mergekit-test-").FullName;

    private TemporaryFolder(string path) => Path = path;

    /// <summary>Makes the folder in a file system in memory, where there is one with so much room: for tests that write much and for which
    /// waiting for a disk is no part of the matter.</summary>
    public static TemporaryFolder InMemory(long bytes)
    {
        if (!Directory.Exists(SharedMemory) || new DriveInfo(SharedMemory).AvailableFreeSpace < bytes)
            return new TemporaryFolder();
        return new TemporaryFolder(Directory.CreateDirectory(System.IO.Path.Combine(SharedMemory, $"mergekit-test-{Guid.NewGuid():N}")).FullName);
    }

    /// <summary>Its full path.</summary>
    public string Path { get; }

    /// <summary>A path in it.</summary>
    public string Join(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
