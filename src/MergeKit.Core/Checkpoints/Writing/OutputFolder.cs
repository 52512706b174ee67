using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>The folder under construction: everything is written beside the final place and moved there by one rename.</summary>
public sealed class OutputFolder
{
    private OutputFolder(string final, string partial) => (Final, Partial) = (final, partial);

    /// <summary>Where the result will be.</summary>
    public string Final { get; }

    /// <summary>Where it is being made.</summary>
    public string Partial { get; }

    /// <summary>Prepares to write <paramref name="final"/>, which must not exist or be empty.</summary>
    /// <exception cref="InputException">It holds something, or is a file.</exception>
    /// <exception cref="EnvironmentException">The folder cannot be made.</exception>
    public static OutputFolder Prepare(string final)
    {
        final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(final));
        if (File.Exists(final))
            throw new InputException($"{final}: the output must be a folder, but this is a file");
        if (Directory.Exists(final) && Directory.EnumerateFileSystemEntries(final).Any())
            throw new InputException($"{final}: the output folder is not empty; name another one, or remove it first");
        var parent = Path.GetDirectoryName(final) ?? throw new InputException($"{final}: cannot be an output folder");
        var partial = Path.Combine(parent, $".{Path.GetFileName(final)}.mergekit-partial");
        return Guard(partial, () =>
        {
            Directory.CreateDirectory(partial);
            return new OutputFolder(final, partial);
        });
    }

    /// <summary>A path inside the folder under construction.</summary>
    public string PathOf(string name) => Path.Combine(Partial, name);

    /// <summary>Writes a small file durably.</summary>
    public void WriteText(string name, string text) => Guard(PathOf(name), () =>
    {
        using var handle = File.OpenHandle(PathOf(name), FileMode.Create, FileAccess.Write);
        RandomAccess.Write(handle, System.Text.Encoding.UTF8.GetBytes(text), 0);
        RandomAccess.FlushToDisk(handle);
        return true;
    });

    /// <summary>Copies a file durably.</summary>
    public void CopyFile(string name, string source) => Guard(PathOf(name), () =>
    {
        using (var from = File.OpenRead(source))
        using (var to = File.Create(PathOf(name)))
        {
            from.CopyTo(to);
            to.Flush(flushToDisk: true);
        }

        return true;
    });

    /// <summary>Moves the finished folder to its final name. Before this nothing stands there; after it everything does.</summary>
    public void Publish() => Guard(Final, () =>
    {
        DirectorySync.Flush(Partial);
        if (Directory.Exists(Final))
            Directory.Delete(Final);
        Directory.Move(Partial, Final);
        DirectorySync.Flush(Path.GetDirectoryName(Final)!);
        return true;
    });

    /// <summary>Removes everything that was begun.</summary>
    public void Discard() => Guard(Partial, () =>
    {
        if (Directory.Exists(Partial))
            Directory.Delete(Partial, recursive: true);
        Directory.CreateDirectory(Partial);
        return true;
    });

    /// <summary>Runs a file operation and turns the machine's refusals into plain messages.</summary>
    internal static T Guard<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new EnvironmentException($"{path}: no permission to write here: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw new EnvironmentException($"{path}: cannot be written: {e.Message}", e);
        }
    }
}
