using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Conversion.Gguf;
using MergeKit.Core.Conversion;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit convert MODEL OUT</c>: another form of the same model.</summary>
internal static class ConvertCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder (safetensors, PyTorch, GGUF, quantised too), a .gguf file, a cached hub id, model@revision or model+adapter." };
    private static readonly Argument<string> Output = new("OUT") { Description = "The folder to make, or a file that ends in .gguf." };
    private static readonly Option<string> Type = new("--dtype") { Description = "Type of the written floating-point tensors; by default as they are (quantised ones: float32).", HelpName = "TYPE" };
    private static readonly Option<string> Gguf = new("--gguf") { Description = "Type of the matrices in a .gguf file: f32, f16 (default), bf16 or q8_0.", HelpName = "TYPE" };
    private static readonly Option<int?> KvHeads = new("--kv-heads") { Description = "Mean-pool key and value heads to this number (MHA to GQA or MQA), or repeat them.", HelpName = "N" };
    private static readonly Option<bool> Tie = new("--tie") { Description = "Leave lm_head out if it equals the embedding." };
    private static readonly Option<bool> Untie = new("--untie") { Description = "Write lm_head apart from the embedding." };
    private static readonly Option<ExpertLayout?> Experts = new("--experts") { Description = "packed: all experts of a layer in two tensors; separate: one tensor per expert and matrix.", HelpName = "LAYOUT" };
    private static readonly Option<int?> PadVocabulary = new("--pad-vocab-multiple") { Description = "Round the vocabulary's rows up to a multiple; new rows are the mean of all.", HelpName = "N" };
    private static readonly Option<string> Fill = new("--fill-missing") { Description = "Take tensors that the model lacks from this one.", HelpName = "MODEL" };

    public static Command Create()
    {
        var command = new Command("convert", "Write a model in another form: type, shards, key-value heads, tied head, experts, vocabulary rows, GGUF.")
        {
            Model, Output, Type, Gguf, KvHeads, Tie, Untie, Experts, PadVocabulary, Fill, CommonOptions.ShardSize, CommonOptions.Threads,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Tie) && result.GetValue(Untie))
                result.AddError("--tie and --untie exclude each other");
            foreach (var (option, name) in new[] { (KvHeads, "--kv-heads"), (PadVocabulary, "--pad-vocab-multiple") })
                if (result.GetResult(option) is { } given && !given.Errors.Any() && result.GetValue(option) is < 1)
                    result.AddError($"{name} must be at least 1");
        });
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        using var interrupt = new Interrupt();
        var model = CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!);
        var target = Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Output)!));
        var options = new ConversionOptions
        {
            KeyValueHeads = parsed.GetValue(KvHeads),
            TieHead = parsed.GetValue(Tie) ? true : parsed.GetValue(Untie) ? false : null,
            Experts = parsed.GetValue(Experts),
            VocabularyMultiple = parsed.GetValue(PadVocabulary),
            FillFrom = parsed.GetValue(Fill) is { } other ? CommonOptions.ResolveModel(parsed, other) : null,
        };
        return target.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)
            ? WriteGguf(parsed, model, target, options, interrupt.Token)
            : WriteFolder(parsed, model, target, options, interrupt.Token);
    }

    private static int WriteGguf(ParseResult parsed, string model, string target, ConversionOptions options, CancellationToken cancellation)
    {
        if (Path.Exists(target))
            throw new InputException($"{target}: exists already; name another file, or remove it first");
        if (parsed.GetValue(Type) is not null)
            throw new InputException("--dtype goes with a folder; a .gguf file's type is given by --gguf");
        using var input = ModelConversion.Apply(ModelInput.Open(model), options);
        var problems = GgufExport.Write(target, input.Config!, input.Checkpoint, input.Folder, GgufType(parsed.GetValue(Gguf)), cancellation);
        ProblemPrinter.Print(problems, parsed.InvocationConfiguration.Error);
        parsed.InvocationConfiguration.Output.WriteLine($"{target}: {input.Checkpoint.Tensors.Count} tensors, {new FileInfo(target).Length:N0} bytes");
        return ExitCodes.Done;
    }

    private static GgufOutput GgufType(string? text) => text?.ToUpperInvariant() switch
    {
        null or "F16" => GgufOutput.F16,
        "F32" => GgufOutput.F32,
        "BF16" => GgufOutput.BF16,
        "Q8_0" => GgufOutput.Q8,
        _ => throw new InputException($"--gguf '{text}': f32, f16, bf16 or q8_0 is wanted"),
    };

    /// <summary>A conversion is a merge of one model: planned, sharded, verified and published like any other.</summary>
    private static int WriteFolder(ParseResult parsed, string model, string target, ConversionOptions options, CancellationToken cancellation)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        if (parsed.GetValue(Gguf) is not null)
            throw new InputException("--gguf goes with an output file that ends in .gguf");
        var location = new SourceLocation(model, 1, 1);
        var source = new RecipeSource(ModelInput.Parse(model), null, Parameters.Empty, location);
        var slice = new RecipeSlice([source], null, Parameters.Empty, location);
        var recipe = new Recipe(model, null, "passthrough", location, null, [new RecipeModule(RecipeModule.DefaultName, [slice], Parameters.Empty)], Parameters.Empty,
            null, parsed.GetValue(Type) is { } type ? DTypes.FromTorch(type) : null, null, null, "", RecipeForm.Models);
        using var plan = MergePlanner.Plan(recipe, new PlanOptions
        {
            WorkingDirectory = CommonOptions.BaseFolder(parsed),
            ShardBytes = parsed.GetValue(CommonOptions.ShardSize),
            Threads = parsed.GetValue(CommonOptions.Threads),
            Convert = input => ModelConversion.Apply(input, options),
            OutputFolder = target,
        });
        var display = new RunDisplay(error, quiet: false);
        display.ShowProblems(plan.Problems);
        var progress = new MergeProgress();
        using (display.Follow(Path.GetFileName(target), progress))
        {
            var result = new MergeRunner(plan, progress).Run(target, ResumeMode.WhenSame, _ => new Dictionary<string, string>(), cancellation);
            RunReport.Print([result], null, output);
        }

        return ExitCodes.Done;
    }
}
