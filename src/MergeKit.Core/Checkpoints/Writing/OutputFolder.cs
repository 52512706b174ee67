using MergeKit.Core.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>The folder under construction: everything is written beside the final place and moved there by one rename.</summary>
/// <remarks>One process at a time works on a folder: it holds a lock on the folder itself until it is published or given up.</remarks>
public sealed class OutputFolder : IDisposable
{
    private readonly SafeFileHandle? _lock;

    private OutputFolder(string final, string partial, SafeFileHandle? folderLock) => (Final, Partial, _lock) = (final, partial, folderLock);

    /// <summary>Where the result will be.</summary>
    public string Final { get; }

    /// <summary>Where it is being made.</summary>
    public string Partial { get; }

    /// <summary>Prepares to write <paramref name="final"/>, which must not exist or be empty.</summary>
    /// <exception cref="InputException">It holds something, or is a file.</exception>
    /// <exception cref="EnvironmentException">The folder cannot be made.</exception>
    public static OutputFolder Prepare(string final)
    {
        RequireFree(final);
        var partial = PartialOf(final);
        return Guard(partial, () =>
        {
            Directory.CreateDirectory(partial);
            var folderLock = DirectorySync.Lock(partial);
            try
            {
                RequireFree(final); // whoever held the lock may have published meanwhile
                if (Directory.Exists(final))
                    Directory.Delete(final); // empty; now, not at the end, so that a folder which cannot be replaced is known at once
                return new OutputFolder(Path.TrimEndingDirectorySeparator(Path.GetFullPath(final)), partial, folderLock);
            }
            catch
            {
                folderLock?.Dispose();
                throw;
            }
        });
    }

    /// <summary>Makes sure that <paramref name="final"/> can become an output folder: it does not exist, or is an empty folder.</summary>
    /// <exception cref="InputException">It holds something, or is a file.</exception>
    public static void RequireFree(string final)
    {
        if (File.Exists(final))
            throw new InputException($"{final}: the output must be a folder, but this is a file");
        Guard(final, () => Directory.Exists(final) && Directory.EnumerateFileSystemEntries(final).Any()
            ? throw new InputException($"{final}: the output folder is not empty; name another one, or remove it first") : true);
    }

    /// <summary>Where the result that will be <paramref name="final"/> is made: a hidden folder beside it.</summary>
    public static string PartialOf(string final)
    {
        final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(final));
        var parent = Path.GetDirectoryName(final) ?? throw new InputException($"{final}: cannot be an output folder");
        return Path.Combine(parent, $".{Path.GetFileName(final)}.mergekit-partial");
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

    /// <summary>Writes a single text file outside any output folder: whole or not at all.</summary>
    /// <exception cref="EnvironmentException">It cannot be written.</exception>
    public static void WriteFile(string path, string text) => Guard(path, () =>
    {
        File.WriteAllText(path + ".partial", text);
        File.Move(path + ".partial", path, overwrite: true);
        return true;
    });

    /// <summary>Removes a file if it is there.</summary>
    internal static void Remove(string path) => Guard(path, () =>
    {
        File.Delete(path);
        return true;
    });

    /// <summary>Gives up a folder in which nothing stands.</summary>
    public void DisposeIfEmpty()
    {
        _lock?.Dispose();
        if (!Directory.EnumerateFileSystemEntries(Partial).Any())
            Directory.Delete(Partial);
    }

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

    /// <summary>Removes every file and folder of the folder under construction but those named.</summary>
    public void RemoveAllBut(IReadOnlyCollection<string> names) => Guard(Partial, () =>
    {
        foreach (var path in Directory.EnumerateFileSystemEntries(Partial).Where(path => !names.Contains(Path.GetFileName(path))).ToList())
        {
            if (Directory.Exists(path) && new DirectoryInfo(path).LinkTarget is null)
                Directory.Delete(path, recursive: true);
            else
                File.Delete(path);
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
        _lock?.Dispose();
        DirectorySync.Flush(Path.GetDirectoryName(Final)!);
        return true;
    });

    /// <summary>Lets other processes work on the folder. What was begun stays, to be gone on with.</summary>
    public void Dispose() => _lock?.Dispose();

    internal void Resize(SafeFileHandle handle, string name, long length) => Guard(PathOf(name), () =>
    {
        RandomAccess.SetLength(handle, length);
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
