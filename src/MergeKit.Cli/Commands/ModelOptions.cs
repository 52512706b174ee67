using System.CommandLine;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>What the commands that run a model share.</summary>
internal static class ModelOptions
{
    /// <summary>Opens model and tokenizer of a folder and checks that they belong together.</summary>
    /// <exception cref="InputException">One of them cannot be used, or the tokenizer has ids that the model has no row for.</exception>
    public static (LanguageModel Model, Tokenizer Tokenizer) Open(string folder, int threads, TextWriter error)
    {
        if (!Directory.Exists(folder))
            throw new InputException($"{folder}: there is no such model folder");
        var tokenizer = Tokenizer.Load(folder);
        var model = LanguageModel.Open(folder, threads);
        foreach (var problem in model.Warnings.Concat(tokenizer.Problems))
            error.WriteLine(problem);
        if (tokenizer.VocabularySize <= model.VocabularySize)
            return (model, tokenizer);
        model.Dispose();
        throw new InputException($"{folder}: tokenizer.json has ids up to {tokenizer.VocabularySize - 1}, but the model has only {model.VocabularySize} rows in its embedding");
    }

    /// <summary>Text given directly or in a file; exactly one of the two.</summary>
    public static string Text(ParseResult parsed, Option<string> text, Option<string> file)
    {
        var (direct, path) = (parsed.GetValue(text), parsed.GetValue(file));
        if (direct is null == (path is null))
            throw new InputException($"give exactly one of {text.Name} and {file.Name}");
        return direct ?? ReadText(CommonOptions.Resolve(parsed, path!));
    }

    /// <summary>A UTF-8 file as it is.</summary>
    /// <exception cref="InputException">There is none, or it is not UTF-8.</exception>
    public static string ReadText(string path)
    {
        if (!File.Exists(path))
            throw new InputException($"{path}: no such file");
        try
        {
            return new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (System.Text.DecoderFallbackException e)
        {
            throw new InputException($"{path}: not valid UTF-8 at byte {e.Index}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }
}
