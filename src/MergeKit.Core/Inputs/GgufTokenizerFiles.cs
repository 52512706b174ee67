using System.IO.Hashing;
using System.Text;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs;

/// <summary>Tokenizers out of .gguf files, kept as tokenizer.json and tokenizer_config.json in the user's cache, one folder per content.</summary>
internal static class GgufTokenizerFiles
{
    /// <summary>The folder; null where the file has no tokenizer.</summary>
    /// <exception cref="InputException">The tokenizer is of a form that is not known.</exception>
    /// <exception cref="EnvironmentException">The cache cannot be written.</exception>
    public static string? Folder(string file)
    {
        if (GgufVocabulary.Read(file) is not { } files)
            return null;
        var name = Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(files.Tokenizer + files.Settings)));
        var folder = Path.Combine(UserCache.Folder("tokenizers"), name);
        if (Directory.Exists(folder))
            return folder;
        try
        {
            var aside = Directory.CreateDirectory($"{folder}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}").FullName;
            File.WriteAllText(Path.Combine(aside, "tokenizer.json"), files.Tokenizer);
            File.WriteAllText(Path.Combine(aside, "tokenizer_config.json"), files.Settings);
            Publish(aside, folder);
            return folder;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{folder}: the tokenizer of {file} cannot be kept: {e.Message}", e);
        }
    }

    /// <summary>Another process may have been faster.</summary>
    private static void Publish(string aside, string folder)
    {
        try
        {
            Directory.Move(aside, folder);
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            Directory.Delete(aside, recursive: true);
        }
    }
}
