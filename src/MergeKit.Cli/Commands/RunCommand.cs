using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit run RECIPE OUT</c>: carries a recipe out.</summary>
internal static class RunCommand
{
    private static readonly Argument<string> Recipe = new("RECIPE") { Description = "The recipe: a YAML file in mergekit's format." };
    private static readonly Argument<string> Output = new("OUT") { Description = "The folder to make; must not exist or be empty." };

    private static readonly Option<string> Intermediate = new("--intermediate-dir", "-I")
    { Description = "Keep the results of named documents in this folder, each under its name.", HelpName = "DIR" };

    private static readonly Option<bool> Resume = new("--resume")
    { Description = "Go on with an interrupted run, and refuse to discard another recipe's. (Without it the same run is resumed, another's discarded.)" };

    private static readonly Option<bool> NoResume = new("--no-resume") { Description = "Discard what an interrupted run has left." };
    private static readonly Option<bool> HashInputs = new("--hash-inputs") { Description = "State the SHA-256 of every input file in the model card." };
    private static readonly Option<bool> NoCard = new("--no-write-model-card") { Description = "Write no README.md." };
    private static readonly Option<bool> WriteCard = new("--write-model-card") { Description = "Write README.md (default)." };
    private static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "Print only problems." };

    private static readonly Option<bool> NoCheck = new("--no-check") { Description = "Do not run the result beside its parents." };
    private static readonly Option<bool> Gate = new("--gate") { Description = "End with exit code 3 when the check finds a fault, or a result worse than its worst parent by more than the margin." };
    private static readonly Option<double> Margin = new("--margin") { Description = "How much worse than the worst parent is too much, as a share of its bits per byte.", DefaultValueFactory = _ => 0.05, HelpName = "X" };

    private static readonly Option<string[]> CheckData = new("--check-data")
    { Description = "Data for the check (as for evaluate) in place of the bundled text.", HelpName = "FILE", AllowMultipleArgumentsPerToken = true };

    /// <summary>mergekit's options that have no meaning here: accepted, so that scripts go on working.</summary>
    private static readonly Option[] NoEffect =
    [
        .. new[] { "--lazy-unpickle", "--low-cpu-memory", "--cuda", "--read-to-gpu", "--multi-gpu", "--async-write", "--clone-tensors",
            "--trust-remote-code", "--safe-serialization", "--verbose", "--load-in-4bit", "--load-in-8bit", "--i-understand-this-is-not-useful-without-training" }.Select(name => new Option<bool>(name) { Hidden = true }),
        .. new[] { "--transformers-cache", "--lora-merge-cache", "--lora-merge-dtype", "--gpu-rich" }.Select(name => new Option<string>(name) { Hidden = true }),
    ];

    public static Command Create()
    {
        var command = new Command("run", "Carry a recipe out: merge, verify, publish.") { Recipe, Output, Intermediate, Resume, NoResume, HashInputs, WriteCard, NoCard, NoCheck, Gate, Margin, CheckData, CommonOptions.Device, Quiet, CommonOptions.Json };
        CommonOptions.AddPlanOptions(command);
        foreach (var option in NoEffect)
            command.Add(option);
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        foreach (var option in NoEffect.Where(option => parsed.GetResult(option) is { Implicit: false }))
            error.WriteLine($"note: {option.Name} has no effect here");
        var outputPath = parsed.GetValue(Output) is { Length: > 0 } path ? Path.GetFullPath(CommonOptions.Resolve(parsed, path))
            : throw new InputException("OUT is empty; the name of a folder is wanted");
        using var interrupt = new Interrupt();
        using var decomposer = new ChosenDecomposer(parsed.GetValue(CommonOptions.Device));
        var display = new RunDisplay(error, parsed.GetValue(Quiet) || parsed.GetValue(CommonOptions.Json));
        var job = new RunJob
        {
            RecipePath = CommonOptions.Resolve(parsed, parsed.GetValue(Recipe)!),
            OutputPath = outputPath,
            IntermediatePath = parsed.GetValue(Intermediate) is { Length: > 0 } folder ? Path.GetFullPath(CommonOptions.Resolve(parsed, folder)) : null,
            Options = CommonOptions.ToPlanOptions(parsed, outputPath) with { Statistics = RecipeStatistics.Now(parsed.GetValue(CommonOptions.Threads), error, interrupt.Token), Decomposer = decomposer },
            Resume = parsed.GetValue(NoResume) ? Core.Merging.Execution.ResumeMode.Never
                : parsed.GetValue(Resume) ? Core.Merging.Execution.ResumeMode.Require : Core.Merging.Execution.ResumeMode.WhenSame,
            HashInputs = parsed.GetValue(HashInputs),
            WriteCard = !parsed.GetValue(NoCard),
            Check = parsed.GetValue(NoCheck) ? null : new CheckOptions
            {
                Data = [.. (parsed.GetValue(CheckData) ?? []).Select(path => DataSetReader.Read(CommonOptions.Resolve(parsed, path)))],
                Margin = parsed.GetValue(Margin),
                Threads = parsed.GetValue(CommonOptions.Threads),
                Device = parsed.GetValue(CommonOptions.Device),
            },
            Device = parsed.GetValue(CommonOptions.Device),
            Cancellation = interrupt.Token,
        };
        var results = job.Run(display);
        display.ShowProblems(decomposer.Notes);
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(RunReport.Json(results, job.Review));
        else if (!parsed.GetValue(Quiet))
            RunReport.Print(results, job.Review, output);
        if (!parsed.GetValue(CommonOptions.Json) && !parsed.GetValue(Quiet))
            RunReport.PrintTables(job.Measured, output);
        return job.Review?.Checked is { Passed: false } && parsed.GetValue(Gate) ? ExitCodes.Gate : ExitCodes.Done;
    }
}
