using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Inputs.Adapters;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit extract-lora --model FT --base-model BASE --out-path OUT</c>: a fine-tune's difference as a LoRA adapter.</summary>
internal static class ExtractLoraCommand
{
    private static readonly Option<string> Model = new("--model") { Description = "The fine-tune.", Required = true, HelpName = "MODEL" };
    private static readonly Option<string> BaseModel = new("--base-model") { Description = "The model it was made from.", Required = true, HelpName = "MODEL" };
    private static readonly Option<string> Out = new("--out-path") { Description = "The adapter's folder; must not exist or be empty.", Required = true, HelpName = "DIR" };
    private static readonly Option<int> MaxRank = new("--max-rank") { Description = "The most singular values kept per module.", DefaultValueFactory = _ => 128, HelpName = "N" };
    private static readonly Option<bool> Distribute = new("--distribute-scale") { Description = "A and B each take the root of the singular values (default)." };
    private static readonly Option<bool> NoDistribute = new("--no-distribute-scale") { Description = "A takes the singular values." };
    private static readonly Option<bool> EmbedLora = new("--embed-lora") { Description = "Factor embedding and lm_head too." };
    private static readonly Option<bool> NoEmbedLora = new("--no-embed-lora") { Description = "Save them whole (default)." };
    private static readonly Option<string[]> SaveModule = new("--save-module") { Description = "Save this module whole (its name, or the last part of it).", HelpName = "NAME" };
    private static readonly Option<string[]> Exclude = new("--exclude-regex", "-e") { Description = "Leave out modules whose tensor names this finds.", HelpName = "REGEX" };
    private static readonly Option<string[]> Include = new("--include-regex", "-i") { Description = "Only modules whose tensor names this finds.", HelpName = "REGEX" };
    private static readonly Option<double> SvEpsilon = new("--sv-epsilon") { Description = "Drop singular values up to this.", DefaultValueFactory = _ => 0, HelpName = "X" };
    private static readonly Option<bool> Skip = new("--skip-undecomposable") { Description = "Leave out tensors that are no matrix (norms) instead of saving them whole." };

    private static readonly Option[] NoEffect =
    [
        .. new[] { "--cuda", "--lazy-unpickle", "--low-cpu-memory", "--read-to-gpu", "--multi-gpu", "--trust-remote-code", "--safe-serialization", "--verbose" }.Select(name => new Option<bool>(name) { Hidden = true }),
        .. new[] { "--lora-merge-cache", "--transformers-cache" }.Select(name => new Option<string>(name) { Hidden = true }),
    ];

    public static Command Create()
    {
        var command = new Command("extract-lora", "Make a LoRA adapter of a fine-tune's difference from its base.")
        {
            Model, BaseModel, Out, MaxRank, Distribute, NoDistribute, EmbedLora, NoEmbedLora, SaveModule, Exclude, Include, SvEpsilon, Skip,
            CommonOptions.Seed, CommonOptions.Threads, CommonOptions.Device, CommonOptions.Json,
        };
        foreach (var option in NoEffect)
            command.Add(option);
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var decomposer = new ChosenDecomposer(parsed.GetValue(CommonOptions.Device));
        var options = Options(parsed) with { Decomposer = decomposer };
        using var interrupt = new Interrupt();
        var target = Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Out)!));
        OutputFolder.RequireFree(target);
        using var baseModel = ModelInput.Open(CommonOptions.ResolveModel(parsed, parsed.GetValue(BaseModel)!));
        using var tuned = ModelInput.Open(CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!));
        var extraction = new LoraExtraction(baseModel, tuned, options);
        using var folder = OutputFolder.Prepare(target);
        folder.RemoveAllBut([]);
        error.WriteLine($"note: {extraction.Cost(parsed.GetValue(CommonOptions.Threads))}");
        var reports = extraction.Run(folder, parsed.GetValue(BaseModel)!, ParallelWork.Loop(parsed.GetValue(CommonOptions.Threads), interrupt.Token), (report, number, count) =>
        {
            interrupt.Token.ThrowIfCancellationRequested();
            ModuleProgress.Show(report.Module, number, count, error);
        });
        folder.Publish();
        ProblemPrinter.Print([.. extraction.Problems, .. decomposer.Notes], error);
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(Json(reports));
        else
            FactoringTable.Print(reports, target, output);
        return ExitCodes.Done;
    }

    private static ExtractionOptions Options(ParseResult parsed)
    {
        if (parsed.GetValue(MaxRank) < 1)
            throw new InputException($"--max-rank is {parsed.GetValue(MaxRank)}; at least 1 is wanted");
        return new ExtractionOptions
        {
            MaxRank = parsed.GetValue(MaxRank),
            DistributeScale = !parsed.GetValue(NoDistribute),
            SvEpsilon = parsed.GetValue(SvEpsilon) is >= 0 and var epsilon ? epsilon : throw new InputException("--sv-epsilon must be a number of at least 0"),
            EmbedLora = parsed.GetValue(EmbedLora) && !parsed.GetValue(NoEmbedLora),
            SkipUndecomposable = parsed.GetValue(Skip),
            SaveModules = parsed.GetValue(SaveModule) ?? [],
            Include = [.. (parsed.GetValue(Include) ?? []).Select(pattern => Pattern(pattern, "--include-regex"))],
            Exclude = [.. (parsed.GetValue(Exclude) ?? []).Select(pattern => Pattern(pattern, "--exclude-regex"))],
            Seed = parsed.GetValue(CommonOptions.Seed),
        };
    }

    private static Regex Pattern(string pattern, string option)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new InputException($"{option} '{pattern}' is not a regular expression that can be used: {e.Message}", e);
        }
    }

    private static string Json(IReadOnlyList<FactoringReport> reports) => new JsonArray([.. reports.Select(report => new JsonObject
    {
        ["module"] = report.Module, ["rank"] = report.Rank, ["delta_norm"] = report.DeltaNorm, ["residual_norm"] = report.ResidualNorm,
    })]).ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true });
}
