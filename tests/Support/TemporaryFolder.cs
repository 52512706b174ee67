namespace MergeKit.Tests.Support;

/// <summary>A fresh folder that is gone after the test.</summary>
public sealed class TemporaryFolder : IDisposable
{
    /// <summary>Makes the folder.</summary>
    public TemporaryFolder() => Path = Directory.CreateTempSubdirectory("mergekit-test-").FullName;

    /// <summary>Its full path.</summary>
    public string Path { get; }

    /// <summary>A path in it.</summary>
    public string Join(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
