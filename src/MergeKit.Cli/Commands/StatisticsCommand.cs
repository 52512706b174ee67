using System.CommandLine;
using System.Text.RegularExpressions;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Inference.Statistics;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit statistics MODEL --data FILE --out FILE</c>: what goes into each linear layer, for the method regmean.</summary>
internal static class StatisticsCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder, a .gguf file, a cached hub id, model@revision or model+adapter." };
    private static readonly Option<string[]> Data = new("--data", "-d") { Description = "Texts: UTF-8, or JSONL with {\"text\"} per line; best some on which the model is good.", Required = true, AllowMultipleArgumentsPerToken = true, HelpName = "FILE" };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The safetensors file to write: NAME.gram [in, in] per weight NAME.weight, the mean over tokens of x x^T.", Required = true, HelpName = "FILE" };
    private static readonly Option<int> Window = new("--window") { Description = "Tokens of one sequence.", DefaultValueFactory = _ => 512, HelpName = "N" };
    private static readonly Option<long> Tokens = new("--max-tokens") { Description = "Stop after so many tokens.", DefaultValueFactory = _ => 1_000_000, HelpName = "N" };
    private static readonly Option<string> Tensors = new("--tensors") { Description = "Only weights whose names this regular expression finds.", HelpName = "REGEX" };

    public static Command Create()
    {
        var command = new Command("statistics", "Run a model on texts and record what goes into its linear layers, for merge_method regmean.") { Model, Data, Out, Window, Tokens, Tensors, CommonOptions.Threads };
        command.Validators.Add(result =>
        {
            if (result.GetResult(Window) is { } window && !window.Errors.Any() && result.GetValue(Window) < 1)
                result.AddError("--window must be at least 1");
            if (result.GetResult(Tokens) is { } tokens && !tokens.Errors.Any() && result.GetValue(Tokens) < 1)
                result.AddError("--max-tokens must be at least 1");
        });
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var interrupt = new Interrupt();
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Out)!);
        if (Path.Exists(path))
            throw new InputException($"{path}: exists already; name another file, or remove it first");
        var texts = parsed.GetValue(Data)!.SelectMany(file => Texts(CommonOptions.Resolve(parsed, file))).ToList();
        var options = new RecorderOptions(parsed.GetValue(Window), parsed.GetValue(Tokens), parsed.GetValue(Tensors) is { } pattern ? Pattern(pattern) : null, parsed.GetValue(CommonOptions.Threads));
        var (tensors, tokens) = StatisticsRecorder.Record(CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!), texts, options, seen =>
        {
            if (!Console.IsErrorRedirected)
                error.Write($"\r{seen:N0} tokens");
        }, interrupt.Token);
        SafetensorsFile.Write(path, tensors);
        output.WriteLine($"{path}: {tensors.Count} weights, {tokens:N0} tokens");
        return ExitCodes.Done;
    }

    private static IReadOnlyList<string> Texts(string path) =>
        DataSetReader.Read(path) is TextDataSet texts ? texts.Documents : throw new InputException($"{path}: holds questions; running text is wanted");

    private static Regex Pattern(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new InputException($"--tensors '{pattern}' is not a regular expression that can be used: {e.Message}", e);
        }
    }
}
