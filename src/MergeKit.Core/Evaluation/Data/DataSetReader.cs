using System.Text;
using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Evaluation.Data;

/// <summary>Reads evaluation data. A <c>.jsonl</c> (or .ndjson) file holds one object a line, all of one kind, told by the first:
/// <c>{"text"}</c>, <c>{"context", "choices", "gold", "delimiter"?}</c> (gold: an index, a list of them, or the choice itself; delimiter " " by default)
/// or <c>{"prompt", "answer"}</c>; other keys are ignored, blank lines skipped. Any other file is one plain text in UTF-8, taken as it is.
/// Empty documents are kept; they score no token.</summary>
public static class DataSetReader
{
    /// <summary>Reads a file; its name is that of the file and its folder, unless one is given.
    /// Errors: <see cref="InputException"/> with every line that is wrong (up to 20), each with file and line.</summary>
    public static DataSet Read(string path, string? name = null)
    {
        name ??= NameOf(path);
        var bytes = JsonLines.ReadBytes(path);
        if (!path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) && !path.EndsWith(".ndjson", StringComparison.OrdinalIgnoreCase))
            return new TextDataSet(name, path, [PlainText(path, bytes)], IsPlainText: true);
        var problems = new List<Problem>();
        var lines = JsonLines.Parse(path, bytes, problems);
        var result = Build(name, path, lines, problems);
        if (problems.Count > 0)
            throw new InputException(problems);
        return result.Count > 0 ? result : throw new InputException($"{path}: no items; expected at least one line of JSON");
    }

    /// <summary>What a data set is called that was given no name: its folder and its file.</summary>
    public static string NameOf(string path)
    {
        var folder = Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(path)));
        var file = Path.GetFileNameWithoutExtension(path);
        return string.IsNullOrEmpty(folder) ? file : $"{folder}/{file}";
    }

    private static string PlainText(string path, byte[] bytes)
    {
        if (bytes.Length == 0)
            throw new InputException($"{path}: the file is empty; expected text");
        try
        {
            return JsonLines.Strict.GetString(bytes);
        }
        catch (DecoderFallbackException error)
        {
            throw new InputException($"{path}:{LineOf(bytes, error.Index)}: not valid UTF-8 at byte {error.Index}", error);
        }
    }

    private static int LineOf(byte[] bytes, int offset) => 1 + bytes.AsSpan(0, Math.Clamp(offset, 0, bytes.Length)).Count((byte)'\n');

    private static DataSet Build(string name, string path, List<(int Line, JsonElement Value)> lines, List<Problem> problems)
    {
        if (lines.Count == 0)
            return new TextDataSet(name, path, [], IsPlainText: false);
        var first = lines[0].Value;
        if (first.TryGetProperty("text", out _))
            return new TextDataSet(name, path, Each(fields => fields.Text("text")), IsPlainText: false);
        if (first.TryGetProperty("choices", out _))
            return new ChoiceDataSet(name, path, Each(Choice));
        if (first.TryGetProperty("prompt", out _))
            return new ExactDataSet(name, path, Each(fields => new ExactQuestion(fields.Text("prompt"), fields.Text("answer"))));
        problems.Add(Problem.Error(
            $"{path}:{lines[0].Line}: unknown kind of item with the keys {string.Join(", ", first.EnumerateObject().Select(pair => pair.Name))}; "
            + "expected text; context, choices, gold; or prompt, answer"));
        return new TextDataSet(name, path, [], IsPlainText: false);

        List<T> Each<T>(Func<ItemFields, T> read)
        {
            var items = new List<T>();
            foreach (var (line, value) in lines)
            {
                try
                {
                    items.Add(read(new ItemFields(value)));
                }
                catch (FormatException error)
                {
                    problems.Add(Problem.Error($"{path}:{line}: {error.Message}"));
                    if (problems.Count >= JsonLines.MaxProblems)
                        break;
                }
            }

            return items;
        }
    }

    private static ChoiceQuestion Choice(ItemFields fields)
    {
        var choices = fields.Texts("choices");
        return new ChoiceQuestion(fields.Text("context"), choices, fields.Gold(choices), fields.Text("delimiter", " "));
    }
}
