using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Evaluation.Data;

/// <summary>Reads JSONL items as they are, for templates.</summary>
public static class ItemReader
{
    /// <summary>The objects of a file. Errors: <see cref="InputException"/> with every line that is none, or where there is none at all.</summary>
    public static IReadOnlyList<JsonElement> Read(string path)
    {
        var problems = new List<Problem>();
        var items = JsonLines.Parse(path, JsonLines.ReadBytes(path), problems).Select(line => line.Value).ToList();
        if (problems.Count > 0)
            throw new InputException(problems);
        return items.Count > 0 ? items : throw new InputException($"{path}: no items; expected at least one line of JSON");
    }
}
