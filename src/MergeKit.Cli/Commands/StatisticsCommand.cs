using System.CommandLine;
using System.Text.RegularExpressions;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Statistics;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit statistics MODEL --data FILE --out FILE</c>: what the methods regmean and fisher want to know of a model.</summary>
internal static class StatisticsCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder, a .gguf file, a cached hub id, model@revision or model+adapter." };
    private static readonly Option<string[]> Data = new("--data", "-d") { Description = "Texts: UTF-8, or JSONL with {\"text\"} per line; best some on which the model is good.", Required = true, AllowMultipleArgumentsPerToken = true, HelpName = "FILE" };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The safetensors file to write. For regmean: NAME.gram [in, in] per weight NAME.weight, the mean over tokens of x x^T. For fisher: a tensor per tensor.", Required = true, HelpName = "FILE" };
    private static readonly Option<string> Method = new("--method", "-m") { Description = "The merge method that the statistics are for.", DefaultValueFactory = _ => "regmean" };
    private static readonly Option<string> Labels = new("--labels") { Description = "For fisher: sampled (drawn from the model: the Fisher information as defined) or text (the empirical Fisher).", DefaultValueFactory = _ => StatisticsRequest.LabelNames[0] };
    private static readonly Option<string> Per = new("--per") { Description = "For fisher: sequence (one gradient per sequence) or token (one per token: as many times the work).", DefaultValueFactory = _ => StatisticsRequest.ExampleNames[0] };
    private static readonly Option<ulong> Seed = new("--seed") { Description = "For fisher: decides the sampled labels.", DefaultValueFactory = _ => 0, HelpName = "N" };
    private static readonly Option<int> Window = new("--window") { Description = "Tokens of one sequence.", DefaultValueFactory = _ => 512, HelpName = "N" };
    private static readonly Option<long> Tokens = new("--max-tokens") { Description = "Stop after so many tokens.", DefaultValueFactory = _ => 1_000_000, HelpName = "N" };
    private static readonly Option<string> Tensors = new("--tensors") { Description = "Only weights whose names this regular expression finds.", HelpName = "REGEX" };

    static StatisticsCommand()
    {
        Method.AcceptOnlyFromAmong("regmean", "fisher");
        Labels.AcceptOnlyFromAmong([.. StatisticsRequest.LabelNames]);
        Per.AcceptOnlyFromAmong([.. StatisticsRequest.ExampleNames]);
    }

    public static Command Create()
    {
        var command = new Command("statistics", "Run a model on texts and record what merge_method regmean or fisher wants to know of it.")
        {
            Model, Data, Out, Method, Labels, Per, Seed, Window, Tokens, Tensors, CommonOptions.Threads,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(Window) is { } window && !window.Errors.Any() && result.GetValue(Window) < 1)
                result.AddError("--window must be at least 1");
            if (result.GetResult(Tokens) is { } tokens && !tokens.Errors.Any() && result.GetValue(Tokens) < 1)
                result.AddError("--max-tokens must be at least 1");
            if (result.GetResult(Method)?.Errors.Any() != true && result.GetValue(Method) != "fisher")
                foreach (var option in new Option[] { Labels, Per, Seed })
                    if (result.GetResult(option) is { Implicit: false })
                        result.AddError($"{option.Name} goes with --method fisher");
        });
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        using var interrupt = new Interrupt();
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Out)!);
        var texts = parsed.GetValue(Data)!.SelectMany(file => Texts(CommonOptions.Resolve(parsed, file))).ToList();
        var kind = parsed.GetValue(Method) == "fisher" ? StatisticsKind.PerElement : StatisticsKind.InputProducts;
        var options = new StatisticsOptions(kind, parsed.GetValue(Window), parsed.GetValue(Tokens), parsed.GetValue(CommonOptions.Threads))
        {
            Filter = parsed.GetValue(Tensors) is { } pattern ? Pattern(pattern) : null,
            LabelsOfText = parsed.GetValue(Labels) == StatisticsRequest.LabelNames[1],
            PerToken = parsed.GetValue(Per) == StatisticsRequest.ExampleNames[1],
            Seed = parsed.GetValue(Seed),
        };
        var kept = StatisticsStore.Keep(path, CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!), texts, options, Progress(parsed.InvocationConfiguration.Error), interrupt.Token);
        parsed.InvocationConfiguration.Output.WriteLine($"{path}: {kept.Tensors} {(kind == StatisticsKind.PerElement ? "tensors" : "weights")}, {kept.Tokens:N0} tokens{(kept.IsNew ? "" : "; they were there already, of the same model, texts and options")}");
        return ExitCodes.Done;
    }

    /// <summary>Shows the tokens seen, on a terminal.</summary>
    public static Action<long> Progress(TextWriter error) => seen =>
    {
        if (!Console.IsErrorRedirected)
            error.Write($"\r{seen:N0} tokens");
    };

    /// <summary>The texts of a file.</summary>
    public static IReadOnlyList<string> Texts(string path) =>
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
