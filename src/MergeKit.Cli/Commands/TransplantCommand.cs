using System.CommandLine;
using System.Globalization;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Transplanting;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit transplant-tokenizer MODEL DONOR OUT</c>: gives a model another model's tokenizer.</summary>
internal static class TransplantCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model whose weights are kept." };
    private static readonly Argument<string> Donor = new("DONOR") { Description = "The model whose tokenizer it gets." };
    private static readonly Argument<string> Output = new("OUT") { Description = "The folder to make; must not exist or be empty." };

    private static readonly Option<string> Method = Choice("--method", ["omp", "common_interpolation", "subword", "landmark_pca", "stb", "mp_rope", "john_hewitt", "mean", "zero", "randn"],
        "How rows of tokens are made that the model does not have: omp (sparse combinations of shared tokens), common_interpolation (nearest shared tokens), subword (pieces), landmark_pca (a linear map from shared tokens), stb (a linear map through sparse bases of shared tokens), mp_rope (matching pursuit with rows turned by rotary positions), john_hewitt (drawn with the mean and covariance of the model's rows), mean, zero, randn (noise).");

    private static readonly Option<int> K = new("--k", "-k") { Description = "The most shared tokens in a combination (omp, stb, mp_rope), or the number of neighbours.", DefaultValueFactory = _ => 64, HelpName = "K" };

    private static readonly Option<string> Weights = Choice("--weight-scheme", ["distance_proportional", "barycentric", "least_squares"], "common_interpolation: how neighbours are weighted.");
    private static readonly Option<bool> Cosine = new("--cosine-similarity") { Description = "common_interpolation: nearest by the angle." };
    private static readonly Option<string> Subword = Choice("--subword-method", ["mean", "sum", "weighted_mean", "first_last"], "subword: how pieces are joined.");
    private static readonly Option<string> Bytes = Choice("--byte-match", ["no", "yes", "embed", "lm_head"], "Where a token of one byte (<0x41>) matches the character of that byte.");
    private static readonly Option<string> Prefixes = Choice("--prefix-match", ["no", "yes", "embed", "lm_head"], "Where a token takes the row of the longest token that it begins with.");
    private static readonly Option<long> Memory = new("--product-memory")
    {
        Description = "omp: the most memory for inner products of shared tokens (default: a quarter of what is available).",
        DefaultValueFactory = _ => new TransplantOptions().ProductBytes,
        CustomParser = result => Size.Parse(result),
        HelpName = "SIZE",
    };

    private static readonly Option<ulong> Seed = new("--random-seed") { Description = "john_hewitt, randn: decides the draws.", DefaultValueFactory = _ => 0, HelpName = "N" };

    private static readonly Option<bool> Magikarp = new("--magikarp") { Description = "Leave out tokens that look untrained: they count as shared only where both models have trained them, and get zeros where neither has." };
    private static readonly Option<bool> NoMagikarp = new("--no-magikarp") { Description = "Do not (default)." };
    private static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "Print only problems." };

    public static Command Create()
    {
        Method.Aliases.Add("--approximation-method");
        Method.Aliases.Add("-a");
        Weights.Aliases.Add("-w");
        Cosine.Aliases.Add("-c");
        Subword.Aliases.Add("-s");
        Bytes.Aliases.Add("-bm");
        Prefixes.Aliases.Add("-pm");
        K.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out var value) && value < 1)
                result.AddError($"--k is {value}; at least 1 is wanted");
        });
        var command = new Command("transplant-tokenizer", "Give a model another model's tokenizer, with rows made for the tokens that it does not have.")
        {
            Model, Donor, Output, Method, K, Weights, Cosine, Subword, Bytes, Prefixes, Seed, Memory, Magikarp, NoMagikarp, CommonOptions.ShardSize, CommonOptions.Threads, Quiet,
        };
        command.SetAction(Execute);
        return command;
    }

    private static Option<string> Choice(string name, string[] values, string description)
    {
        var option = new Option<string>(name) { Description = description, DefaultValueFactory = _ => values[0], HelpName = string.Join('|', values) };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var other }] && !values.Contains(other, StringComparer.Ordinal))
                result.AddError($"{name} is '{other}'; wanted one of {string.Join(", ", values)}.{Spelling.Hint(other, values)}");
        });
        return option;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var target = parsed.GetValue(Output) is { Length: > 0 } path ? Path.GetFullPath(CommonOptions.Resolve(parsed, path)) : throw new InputException("OUT is empty; the name of a folder is wanted");
        OutputFolder.RequireFree(target);
        var display = new RunDisplay(error, parsed.GetValue(Quiet));
        using var interrupt = new Interrupt();
        using var transplant = Transplant.Prepare(parsed.GetValue(Model)!, parsed.GetValue(Donor)!, Options(parsed), CommonOptions.ToPlanOptions(parsed, target));
        display.ShowProblems(transplant.Plan.Problems);
        if (!transplant.Plan.IsExecutable)
            throw new InputException([.. transplant.Plan.Problems.Where(problem => problem.Severity == Severity.Error)]);
        var solving = new TransplantProgress();
        using (display.Count(() => (solving.Stage, solving.Done, solving.Total)))
            transplant.Solve(solving, interrupt.Token);
        var writing = new MergeProgress();
        using (display.Follow(Path.GetFileName(target), writing))
        {
            var result = new MergeRunner(transplant.Plan, writing).Run(target, ResumeMode.WhenSame, _ => new Dictionary<string, string> { ["README.md"] = Card(parsed, transplant, target) }, interrupt.Token);
            display.ShowProblems(result.Problems);
        }

        if (!parsed.GetValue(Quiet))
            foreach (var tensor in transplant.Report)
                output.WriteLine(tensor);
        return ExitCodes.Done;
    }

    private static TransplantOptions Options(ParseResult parsed) => new()
    {
        Method = Parse<TransplantMethod>(parsed.GetValue(Method)!),
        Neighbours = parsed.GetValue(K),
        Weights = Parse<NeighbourWeights>(parsed.GetValue(Weights)!),
        Cosine = parsed.GetValue(Cosine),
        Subword = Parse<SubwordWeights>(parsed.GetValue(Subword)!),
        ByteMatch = Where(parsed.GetValue(Bytes)!),
        PrefixMatch = Where(parsed.GetValue(Prefixes)!),
        WellTrainedOnly = parsed.GetValue(Magikarp) && !parsed.GetValue(NoMagikarp),
        Seed = parsed.GetValue(Seed),
        ProductBytes = parsed.GetValue(Memory),
    };

    /// <summary>A choice in the command line's spelling: first_last is FirstLast.</summary>
    private static T Parse<T>(string text)
        where T : struct, Enum => Enum.Parse<T>(text.Replace("_", "", StringComparison.Ordinal), ignoreCase: true);

    private static MatchIn Where(string text) => text switch { "yes" => MatchIn.Both, "embed" => MatchIn.Embedding, "lm_head" => MatchIn.Head, _ => MatchIn.None };

    private static string Card(ParseResult parsed, Transplant transplant, string target) => string.Create(CultureInfo.InvariantCulture, $"""
        ---
        base_model:
        - "{parsed.GetValue(Model)}"
        library_name: transformers
        tags:
        - mergekit
        ---
        # {Path.GetFileName(target)}

        The weights of `{parsed.GetValue(Model)}` with the tokenizer of `{parsed.GetValue(Donor)}`, made by MergeKit.Net.
        Rows of tokens that both have are the model's; the others were made by the method `{parsed.GetValue(Method)}` (k {parsed.GetValue(K)}).

        {string.Join("\n", transplant.Report.Select(tensor => $"- {tensor}"))}

        """);
}
