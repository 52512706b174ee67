using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Search.Trials;

/// <summary>The trials of a search on disk, one JSON object a line, so that a killed search goes on where it stopped. A search is a pure function of its
/// document, its seed and its scores: replayed over the journal it takes the same course, and only what is missing is scored.</summary>
public sealed class TrialJournal : IDisposable
{
    private const string Format = "mergekit-net-search/1";
    private static readonly JsonSerializerOptions Options = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };
    private readonly FileStream _file;
    private readonly Queue<Trial> _known;

    private TrialJournal(FileStream file, IEnumerable<Trial> known)
    {
        (_file, _known) = (file, new Queue<Trial>(known));
        Resumed = _known.Count;
    }

    private sealed record Header(string Format, string Identity);

    /// <summary>Trials that were found.</summary>
    public int Resumed { get; }

    /// <summary>Opens a journal; one of another search, or a broken one, is begun anew. A last line that was cut off by a kill is dropped.</summary>
    /// <param name="path">The file.</param>
    /// <param name="identity">Equal for equal searches over equal inputs.</param>
    /// <exception cref="EnvironmentException">The file cannot be written, or another process is writing it.</exception>
    public static TrialJournal Open(string path, string identity)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            try
            {
                var (trials, length) = Read(file, identity);
                file.SetLength(length);
                file.Position = length;
                var journal = new TrialJournal(file, trials);
                if (length == 0)
                    journal.Write(new Header(Format, identity));
                return journal;
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: the search's journal cannot be opened: {e.Message}", e);
        }
    }

    /// <summary>The next known trial, if it is the one that the search asks for; what no longer fits is dropped.</summary>
    internal Trial? Next(string role, string yaml)
    {
        if (_known.TryPeek(out var trial) && trial.Role == role && trial.Yaml == yaml)
            return _known.Dequeue();
        _known.Clear();
        return null;
    }

    /// <summary>Adds a trial that was just scored.</summary>
    internal void Add(Trial trial) => Write(trial);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Write<T>(T record)
    {
        try
        {
            _file.Write(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(record, Options) + "\n"));
            _file.Flush();
        }
        catch (IOException e)
        {
            throw new EnvironmentException($"{_file.Name}: the search's journal cannot be written: {e.Message}", e);
        }
    }

    private static (List<Trial> Trials, long Length) Read(FileStream file, string identity)
    {
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        var (trials, length) = (new List<Trial>(), 0L);
        for (var start = 0; bytes.AsSpan(start).IndexOf((byte)'\n') is >= 0 and var count; start += count + 1)
        {
            try
            {
                var line = bytes.AsSpan(start, count);
                if (start == 0 && JsonSerializer.Deserialize<Header>(line, Options) != new Header(Format, identity))
                    return ([], 0);
                if (start > 0)
                    trials.Add(JsonSerializer.Deserialize<Trial>(line, Options) is { Scores: not null, Yaml: not null } trial && trial.Index >= trials.Count ? trial : throw new JsonException());
                length = start + count + 1;
            }
            catch (Exception e) when (e is JsonException or NotSupportedException)
            {
                break;
            }
        }

        return (trials, length);
    }
}
