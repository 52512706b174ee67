using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization;

/// <summary>The texts of the files that make up a tokenizer.</summary>
/// <param name="File">The path of <c>tokenizer.json</c>.</param>
/// <param name="Json">Its text.</param>
/// <param name="Settings">The files beside it that name special tokens, where they exist.</param>
internal sealed record TokenizerFiles(string File, string Json, IReadOnlyList<(string File, string Json)> Settings)
{
    private static readonly string[] SettingsFiles = ["tokenizer_config.json", "special_tokens_map.json"];

    /// <summary>Reads them from a model folder, or from the path of a tokenizer.json.</summary>
    public static TokenizerFiles Read(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, "tokenizer.json") : path;
        if (!System.IO.File.Exists(file))
            throw new InputException($"{file}: does not exist; a tokenizer is read from a tokenizer.json (Hugging Face tokenizers format)" +
                (System.IO.File.Exists(Path.Combine(path, "tokenizer.model")) ? ", the SentencePiece file tokenizer.model is not" : ""));
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        var settings = SettingsFiles.Select(name => Path.Combine(folder, name))
            .Where(System.IO.File.Exists).Select(setting => (setting, ReadText(setting)));
        return new TokenizerFiles(file, ReadText(file), [.. settings]);
    }

    private static string ReadText(string file)
    {
        try
        {
            return System.IO.File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            throw new EnvironmentException($"{file}: cannot be read: {e.Message}", e);
        }
    }
}
