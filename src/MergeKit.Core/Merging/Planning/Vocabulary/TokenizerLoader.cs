using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>Reads the tokenizers of several folders side by side, equal files once.</summary>
internal static class TokenizerLoader
{
    private static readonly string[] Files = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

    /// <summary>The tokenizers by folder; a folder without tokenizer.json has none, one that cannot be used is among the problems.</summary>
    public static Dictionary<string, Tokenizer> Load(IEnumerable<string> folders, List<Problem> problems)
    {
        var found = new List<(string Folder, int Same)>();
        foreach (var folder in folders.Distinct(StringComparer.Ordinal).Where(folder => File.Exists(FileOf(folder))))
            found.Add((folder, found.FindIndex(other => SameFiles(other.Folder, folder))));
        var (read, faults) = (new Tokenizer?[found.Count], new IReadOnlyList<Problem>[found.Count]);
        Parallel.For(0, found.Count, i =>
        {
            try
            {
                read[i] = found[i].Same < 0 ? Tokenizer.Load(found[i].Folder) : null;
            }
            catch (InputException e)
            {
                faults[i] = e.Problems;
            }
        });
        var tokenizers = new Dictionary<string, Tokenizer>(StringComparer.Ordinal);
        for (var i = 0; i < found.Count; i++)
        {
            problems.AddRange(faults[i] ?? read[i]?.Problems.Where(problem => problem.Severity != Severity.Note) ?? []);
            if (read[found[i].Same < 0 ? i : found[i].Same] is { } tokenizer)
                tokenizers.Add(found[i].Folder, tokenizer);
        }

        return tokenizers;
    }

    private static string FileOf(string folder) => Path.Combine(folder, "tokenizer.json");

    /// <summary>Whether two folders have the same tokenizer and name the same special tokens.</summary>
    private static bool SameFiles(string a, string b) =>
        Files.All(name => SameFile(Path.Combine(a, name), Path.Combine(b, name)));

    private static bool SameFile(string a, string b)
    {
        var (left, right) = (new FileInfo(a), new FileInfo(b));
        return left.Exists == right.Exists && (!left.Exists || (left.Length == right.Length && File.ReadAllBytes(a).AsSpan().SequenceEqual(File.ReadAllBytes(b))));
    }
}
