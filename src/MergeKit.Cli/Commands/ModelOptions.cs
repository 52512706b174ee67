using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>What the commands that run a model share.</summary>
internal static class ModelOptions
{
    /// <summary>Opens a model of whatever kind, with its tokenizer, and shows what was odd.</summary>
    /// <exception cref="InputException">One of them cannot be used, or they do not belong together.</exception>
    public static OpenedModel Open(ParseResult parsed, string model, TextWriter error, CancellationToken cancellation = default)
    {
        var opened = Opener(parsed, cancellation).Open(model, NameOf(model));
        ProblemPrinter.Print(opened.Warnings, error);
        return opened;
    }

    /// <summary>What opens the models of a command line.</summary>
    public static ModelOpener Opener(ParseResult parsed, CancellationToken cancellation) => Opener(
        new PlanOptions { WorkingDirectory = CommonOptions.BaseFolder(parsed), Threads = parsed.GetValue(CommonOptions.Threads) },
        parsed.GetValue(CommonOptions.Device), cancellation);

    /// <summary>What opens models, with documents that have been carried out.</summary>
    public static ModelOpener Opener(PlanOptions options, DeviceChoice device, CancellationToken cancellation) =>
        new(options, (model, file) => InputPath.ResolveModel(model, file, options), device, cancellation);

    /// <summary>The last part of a path; of a recipe file without its ending; of a model with an adapter the last parts of both.</summary>
    public static string NameOf(string model) => ModelOpener.IsRecipe(model) ? Path.GetFileNameWithoutExtension(model)
        : Path.Exists(model) || !model.Contains('+', StringComparison.Ordinal) ? Last(model) : string.Join('+', model.Split('+').Select(Last));

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
