using System.Globalization;
using System.Text;
using MergeKit.Core.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>What has been written so far: one line per finished tensor, appended whole. A torn last line is ignored.</summary>
/// <remarks>The journal is a hint, never trusted: on resuming, each tensor's bytes are read back and must match its checksum.</remarks>
public sealed class Journal : IDisposable
{
    /// <summary>Its name within the folder under construction.</summary>
    public const string FileName = "journal";

    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private readonly Lock _gate = new();
    private long _end;

    private Journal(string path, SafeFileHandle handle, long end, bool resumed, Dictionary<int, ulong> done) =>
        (_path, _handle, _end, Resumed, Done) = (path, handle, end, resumed, done);

    /// <summary>Whether an earlier run's journal of the same plan was found.</summary>
    public bool Resumed { get; }

    /// <summary>Tensors that an earlier run finished, with their checksums.</summary>
    public IReadOnlyDictionary<int, ulong> Done { get; }

    /// <summary>Opens the journal of a folder. An earlier run of another plan is discarded, or refused when <paramref name="mustMatch"/>.</summary>
    /// <param name="folder">The folder under construction.</param>
    /// <param name="fingerprint">Identifies recipe, inputs and options.</param>
    /// <param name="resume">False: whatever is there is discarded.</param>
    /// <param name="mustMatch">Refuse to discard another plan's work.</param>
    /// <param name="keep">Files of the folder that stay where its work is discarded.</param>
    /// <exception cref="EnvironmentException">Another process is writing the same output.</exception>
    /// <exception cref="InputException">Another plan's work is there and <paramref name="mustMatch"/> is set.</exception>
    public static Journal Open(OutputFolder folder, string fingerprint, bool resume, bool mustMatch, params IEnumerable<string> keep)
    {
        var handle = Lock(folder);
        try
        {
            var header = $"mergekit.net journal 1 {fingerprint}\n";
            var text = OutputFolder.Guard(folder.PathOf(FileName), () => ReadAll(handle));
            var matches = text.StartsWith(header, StringComparison.Ordinal);
            if (!matches && !header.StartsWith(text, StringComparison.Ordinal) && resume && mustMatch)
                throw new InputException($"{folder.Partial}: holds an interrupted run of another recipe, other inputs or other options; run without --resume to discard it");
            if (matches && resume)
            {
                var (done, end) = Parse(text, header.Length);
                folder.Resize(handle, FileName, end);
                return new Journal(folder.PathOf(FileName), handle, end, true, done);
            }

            folder.RemoveAllBut([FileName, .. keep]);
            folder.Resize(handle, FileName, 0);
            var journal = new Journal(folder.PathOf(FileName), handle, 0, false, []);
            journal.Append(header);
            return journal;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Notes a finished tensor.</summary>
    /// <exception cref="EnvironmentException">The disk is full or fails.</exception>
    public void Add(int tensor, ulong checksum) => Append(string.Create(CultureInfo.InvariantCulture, $"{tensor} {checksum:x16}\n"));

    /// <summary>Removes the journal: the last thing before the folder is published.</summary>
    public static void Remove(OutputFolder folder) => OutputFolder.Guard(folder.PathOf(FileName), () =>
    {
        File.Delete(folder.PathOf(FileName));
        return true;
    });

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private static SafeFileHandle Lock(OutputFolder folder)
    {
        try
        {
            return File.OpenHandle(folder.PathOf(FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new EnvironmentException($"{folder.Partial}: another process seems to be writing this output: {e.Message}", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new EnvironmentException($"{folder.Partial}: no permission to write here: {e.Message}", e);
        }
    }

    private void Append(string line)
    {
        var bytes = Encoding.ASCII.GetBytes(line);
        lock (_gate)
        {
            _end += OutputFolder.Guard(_path, () =>
            {
                RandomAccess.Write(_handle, bytes, _end);
                return bytes.Length;
            });
        }
    }

    private static string ReadAll(SafeFileHandle handle)
    {
        var bytes = new byte[checked((int)RandomAccess.GetLength(handle))];
        var read = RandomAccess.Read(handle, bytes, 0);
        return Encoding.ASCII.GetString(bytes, 0, read);
    }

    private static (Dictionary<int, ulong> Done, long End) Parse(string text, int start)
    {
        var done = new Dictionary<int, ulong>();
        for (int end; (end = text.IndexOf('\n', start)) >= 0; start = end + 1)
        {
            var parts = text[start..end].Split(' ');
            if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var tensor)
                || parts[1].Length != 16 || !ulong.TryParse(parts[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var checksum))
                break;
            done[tensor] = checksum;
        }

        return (done, start);
    }
}
