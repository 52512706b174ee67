using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Reports;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit evaluate MODEL... --data FILE...</c>: measures models on the same items and compares them.</summary>
internal static class EvaluateCommand
{
    private static readonly Argument<string[]> Models = new("MODEL") { Description = "Models: folders, .gguf files, cached hub ids, model@revision, model+adapter, recipes of an ensemble or merge; the first is the baseline.", Arity = ArgumentArity.OneOrMore };

    private static readonly Option<string[]> Data = new("--data", "-d")
    {
        Description = "A UTF-8 text, or JSONL: {\"text\"}, {\"context\", \"choices\", \"gold\"} or {\"prompt\", \"answer\"} per line.",
        Required = true,
        AllowMultipleArgumentsPerToken = true,
        HelpName = "FILE",
    };

    private static readonly Option<int?> Limit = new("--limit") { Description = "Only the first N items of each data set.", HelpName = "N" };
    private static readonly Option<int> NewTokens = new("--max-new-tokens") { Description = "The most tokens drawn for an exact-match item.", DefaultValueFactory = _ => 32, HelpName = "N" };
    private static readonly Option<bool> NoBos = new("--no-bos") { Description = "Add a beginning-of-sequence token only where the tokenizer does." };
    private static readonly Option<string> Html = new("--html") { Description = "Also write a one-file HTML report.", HelpName = "FILE" };
    private static readonly Option<bool> Items = new("--items") { Description = "With --json: every item's result too." };

    public static Command Create()
    {
        var command = new Command("evaluate", "Measure models on the same data, with intervals and paired comparisons.")
        {
            Models, Data, Limit, NewTokens, NoBos, Html, Items, CommonOptions.Seed, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var interrupt = new Interrupt();
        var options = new EvaluationOptions
        {
            Limit = parsed.GetValue(Limit),
            MaxNewTokens = parsed.GetValue(NewTokens),
            AlwaysBos = !parsed.GetValue(NoBos),
            Seed = parsed.GetValue(CommonOptions.Seed),
        };
        var data = parsed.GetValue(Data)!.Select(path => DataSetReader.Read(CommonOptions.Resolve(parsed, path))).ToList();
        var folders = parsed.GetValue(Models)!.Select(path => CommonOptions.ResolveModel(parsed, path)).ToList();
        var report = new EvaluationReport("Evaluation", Run(folders, data, options, ModelOptions.Opener(parsed, interrupt.Token), error, interrupt.Token), [], []);
        if (parsed.GetValue(Html) is { } path)
            OutputFolder.WriteFile(CommonOptions.Resolve(parsed, path), HtmlReport.Write(report));
        output.WriteLine(parsed.GetValue(CommonOptions.Json) ? JsonReport.Write(report, parsed.GetValue(Items)) : MarkdownReport.Write(report).TrimEnd());
        return ExitCodes.Done;
    }

    /// <summary>Opens every model (all faults at once) and evaluates.</summary>
    private static EvaluationResult Run(
        IReadOnlyList<string> folders, IReadOnlyList<DataSet> data, EvaluationOptions options, ModelOpener opener, TextWriter error, CancellationToken cancellation)
    {
        var (opened, problems) = (new List<OpenedModel>(), new List<Problem>());
        try
        {
            foreach (var (folder, name) in folders.Zip(Names(folders)))
            {
                try
                {
                    opened.Add(opener.Open(folder, name));
                }
                catch (InputException e)
                {
                    problems.AddRange(e.Problems);
                }
            }

            if (problems.Count > 0)
                throw new InputException(problems);
            ProblemPrinter.Print(opened.SelectMany(model => model.Warnings), error);
            var result = Evaluator.Run([.. opened.Select(model => model.ForEvaluation())], data, options, cancellation);
            ProblemPrinter.Print(opened.SelectMany(model => model.Remarks()), error);
            return result;
        }
        finally
        {
            opened.ForEach(model => model.Dispose());
        }
    }

    /// <summary>The folders' last parts where these differ, else the paths as given.</summary>
    private static IEnumerable<string> Names(IReadOnlyList<string> folders)
    {
        var names = folders.Select(ModelOptions.NameOf).ToList();
        return names.Distinct(StringComparer.Ordinal).Count() == names.Count ? names : folders;
    }
}
