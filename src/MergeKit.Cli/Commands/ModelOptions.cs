using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Checking;

namespace MergeKit.Cli.Commands;

/// <summary>What the commands that run a model share.</summary>
internal static class ModelOptions
{
    /// <summary>Opens model and tokenizer of a folder, and shows what was odd.</summary>
    /// <exception cref="InputException">One of them cannot be used, or they do not belong together.</exception>
    public static ModelFolder Open(string folder, int threads, TextWriter error)
    {
        var opened = ModelFolder.Open(folder, NameOf(folder), threads);
        ProblemPrinter.Print(opened.Warnings, error);
        return opened;
    }

    /// <summary>The last part of a path; of a model with an adapter the last parts of both.</summary>
    public static string NameOf(string model) => Path.Exists(model) || !model.Contains('+', StringComparison.Ordinal) ? Last(model) : string.Join('+', model.Split('+').Select(Last));

    private static string Last(string folder) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));

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
