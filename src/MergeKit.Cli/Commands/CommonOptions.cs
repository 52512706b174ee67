using System.CommandLine;
using System.CommandLine.Parsing;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Cli.Commands;

/// <summary>Options that several commands share, in mergekit's spelling where the meaning is the same.</summary>
internal static class CommonOptions
{
    public static Option<string> WorkingDirectory { get; } =
        new("--working-directory", "-C") { Description = "Resolve relative paths against this folder instead of the current one.", Recursive = true, HelpName = "DIR" };

    public static Option<bool> Json { get; } = new("--json") { Description = "Machine-readable output." };

    public static Option<long> ShardSize { get; } = new("--out-shard-size")
    {
        Description = "Largest output file: bytes, or with a suffix K, M, G (or B), T (decimal) or KiB, MiB, GiB (binary).",
        DefaultValueFactory = _ => 5_000_000_000,
        CustomParser = result => Size.Parse(result),
        HelpName = "SIZE",
    };

    public static Option<ulong> Seed { get; } = new("--random-seed")
    { Description = "Seed of random methods (DARE). Results depend on seed, tensor, model and element only.", DefaultValueFactory = _ => 0, HelpName = "N" };

    public static Option<int> Threads { get; } = new("--num-threads")
    { Description = "Worker threads.", DefaultValueFactory = _ => Environment.ProcessorCount, HelpName = "N" };

    public static Option<int> ChunkSize { get; } = new("--chunk-size")
    { Description = "Elements that a worker handles at a time; the result does not depend on it.", DefaultValueFactory = _ => 32768, HelpName = "N" };

    public static Option<bool> AllowCrimes { get; } = new("--allow-crimes") { Description = "Merge models of different architectures if their tensors agree." };

    public static Option<bool> Raw { get; } = new("--raw") { Description = "Inputs are state dicts without a config: merge every tensor by name." };

    public static Option<bool> Intersection { get; } = new("--tensor-intersection") { Description = "With --raw: leave out tensors that some inputs lack." };

    public static Option<bool> Union { get; } = new("--tensor-union") { Description = "With --raw: merge a tensor from the inputs that have it." };

    public static Option<bool> CopyTokenizer { get; } = new("--copy-tokenizer") { Description = "Copy tokenizer files of the base (or first) model (default)." };

    public static Option<bool> NoCopyTokenizer { get; } = new("--no-copy-tokenizer") { Description = "Do not." };

    static CommonOptions()
    {
        Threads.Validators.Add(result => AtLeast(result, 1, "--num-threads"));
        ChunkSize.Validators.Add(result => AtLeast(result, 1, "--chunk-size"));
    }

    /// <summary>Adds the options that decide a plan.</summary>
    public static void AddPlanOptions(Command command)
    {
        command.Validators.Add(result =>
        {
            if ((result.GetValue(Intersection) || result.GetValue(Union)) && !result.GetValue(Raw))
                result.AddError("--tensor-intersection and --tensor-union go with --raw");
            if (result.GetValue(Intersection) && result.GetValue(Union))
                result.AddError("--tensor-intersection and --tensor-union exclude each other");
        });
        foreach (var option in (Option[])[ShardSize, Seed, Threads, ChunkSize, AllowCrimes, Raw, Intersection, Union, CopyTokenizer, NoCopyTokenizer])
            command.Add(option);
    }

    /// <summary>The options as the planner wants them.</summary>
    public static PlanOptions ToPlanOptions(ParseResult parsed, string? output) => new()
    {
        WorkingDirectory = BaseFolder(parsed),
        ShardBytes = parsed.GetValue(ShardSize),
        Seed = parsed.GetValue(Seed),
        Threads = parsed.GetValue(Threads),
        ChunkElements = parsed.GetValue(ChunkSize),
        AllowCrimes = parsed.GetValue(AllowCrimes),
        Raw = parsed.GetValue(Raw),
        Missing = parsed.GetValue(Intersection) ? MissingTensors.Intersection : parsed.GetValue(Union) ? MissingTensors.Union : MissingTensors.Refuse,
        CopyTokenizer = !parsed.GetValue(NoCopyTokenizer),
        OutputFolder = output,
    };

    /// <summary>The folder that relative paths start from.</summary>
    public static string BaseFolder(ParseResult parsed) =>
        parsed.GetValue(WorkingDirectory) is { Length: > 0 } folder ? Path.GetFullPath(folder) : Directory.GetCurrentDirectory();

    /// <summary>A path given on the command line.</summary>
    public static string Resolve(ParseResult parsed, string path) =>
        parsed.GetValue(WorkingDirectory) is null ? path : Path.Combine(BaseFolder(parsed), path);

    /// <summary>A model given on the command line: each of its paths against the working directory, hub ids as they are.</summary>
    public static string ResolveModel(ParseResult parsed, string model)
    {
        var whole = Resolve(parsed, model);
        if (Path.Exists(whole) || !model.Contains('+', StringComparison.Ordinal))
            return Path.Exists(whole) ? whole : model;
        return string.Join('+', model.Split('+').Select(part => Resolve(parsed, part) is var there && Path.Exists(there) ? there : part));
    }

    private static void AtLeast(OptionResult result, int least, string name)
    {
        if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out var value) && value < least)
            result.AddError($"{name} is {value}; at least {least} is wanted");
    }
}
