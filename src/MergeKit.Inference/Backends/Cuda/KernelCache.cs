namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Compiled kernels on disk, one file per key. A folder that cannot be written means that nothing is kept.</summary>
internal sealed class KernelCache
{
    private const string FolderVariable = "MERGEKIT_KERNEL_CACHE";
    private const int LeastBytes = 64;
    private readonly string _folder;

    public KernelCache(string? folder) => _folder = folder
        ?? (Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } named
            ? named
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "mergekit", "kernels"));

    /// <summary>Machine code; null where it is not there or was cut short.</summary>
    public byte[]? Find(string key)
    {
        try
        {
            var image = File.ReadAllBytes(PathOf(key));
            return image.Length >= LeastBytes && image.AsSpan().StartsWith("\u007FELF"u8) ? image : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Keeps machine code: written under another name, then renamed, so that readers see all of it or nothing.</summary>
    public void Store(string key, byte[] image)
    {
        var temporary = $"{PathOf(key)}.{Guid.NewGuid():n}";
        try
        {
            Directory.CreateDirectory(_folder);
            File.WriteAllBytes(temporary, image);
            File.Move(temporary, PathOf(key), overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The kernel is compiled again next time.
        }
    }

    /// <summary>Saves the log of a failed compilation; returns its path.</summary>
    public string SaveLog(string key, string log)
    {
        foreach (var folder in new[] { _folder, Path.GetTempPath() })
        {
            try
            {
                Directory.CreateDirectory(folder);
                var path = Path.Combine(folder, key + ".log");
                File.WriteAllText(path, log);
                return path;
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // The next folder.
            }
        }

        return "(no folder for it could be written)";
    }

    private string PathOf(string key) => Path.Combine(_folder, key + ".cubin");
}
