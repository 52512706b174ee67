using System.CommandLine;
using System.Globalization;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search.Suggestion;
using MergeKit.Inference.Searching;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit suggest MODEL... --base BASE</c>: a method and starting parameters from the task vectors' statistics and cheap probes.</summary>
internal static class SuggestCommand
{
    private static readonly Argument<string[]> Models = new("MODEL") { Description = "Fine-tuned model folders.", Arity = ArgumentArity.OneOrMore };
    private static readonly Option<string> Base = new("--base", "-b") { Description = "The model that they were fine-tuned from.", Required = true, HelpName = "MODEL" };

    private static readonly Option<string[]> Probe = new("--probe")
    { Description = "Texts to try scales of the suggestion on (the bundled text where left out); never report on them.", HelpName = "FILE", AllowMultipleArgumentsPerToken = true };

    private static readonly Option<bool> NoProbe = new("--no-probe") { Description = "Suggest from the weights' statistics alone." };

    public static Command Create()
    {
        var command = new Command("suggest", "Suggest a merge method and starting parameters, with reasons, as a recipe.") { Models, Base, Probe, NoProbe, CommonOptions.Device, CommonOptions.Threads, CommonOptions.AllowCrimes };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var interrupt = new Interrupt();
        var (origin, models) = (parsed.GetValue(Base)!, parsed.GetValue(Models)!);
        Check(origin, models);
        var options = new PlanOptions { WorkingDirectory = CommonOptions.BaseFolder(parsed), Threads = parsed.GetValue(CommonOptions.Threads), AllowCrimes = parsed.GetValue(CommonOptions.AllowCrimes) };
        var (texts, problems) = Texts(parsed);
        using var plan = MergePlanner.Plan(Arithmetic(origin, models), options);
        if (!plan.IsExecutable || problems.Count > 0)
            throw new InputException([.. plan.Problems.Where(problem => problem.Severity == Severity.Error).Select(problem => problem with { Location = null }), .. problems]);
        ProblemPrinter.Print(plan.Problems.Where(problem => problem.Severity == Severity.Warning).Select(problem => problem with { Location = null }), error);
        var statistics = DeltaStatistics.Of(plan, interrupt.Token);
        var suggestion = MethodSuggestion.Of(statistics);
        if (!parsed.GetValue(NoProbe))
            suggestion = ScaleProbe.Refine(suggestion, statistics, origin, models, texts, options, parsed.GetValue(CommonOptions.Device), interrupt.Token);
        output.Write(suggestion.ToRecipe(statistics, origin, models));
        Print(statistics, error);
        return ExitCodes.Done;
    }

    private static void Check(string origin, string[] models)
    {
        foreach (var model in models.Prepend(origin).Where(model => model.Length == 0))
            throw new InputException("a model's path is empty");
        if (models.Prepend(origin).GroupBy(Path.TrimEndingDirectorySeparator).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new InputException($"model '{twice.Key}' is given {twice.Count()} times (the base counts)");
    }

    private static (IReadOnlyList<TextDataSet> Texts, IReadOnlyList<Problem> Problems) Texts(ParseResult parsed)
    {
        var (texts, problems) = (new List<TextDataSet>(), new List<Problem>());
        foreach (var path in parsed.GetValue(Probe) ?? [])
        {
            try
            {
                if (DataSetReader.Read(CommonOptions.Resolve(parsed, path)) is TextDataSet text)
                    texts.Add(text);
                else
                    problems.Add(Problem.Error($"--probe takes texts; {path} holds items"));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        return (texts, problems);
    }

    private static Recipe Arithmetic(string origin, string[] models)
    {
        var place = new SourceLocation("command line", 1, 1);
        ModelReference Model(string path) => new(path, null, null, null, null, place);
        return new Recipe(
            "command line", null, "task_arithmetic", place, Model(origin),
            [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice([.. models.Select(model => new RecipeSource(Model(model), null, Parameters.Empty, place))], null, Parameters.Empty, place)], Parameters.Empty)],
            new Parameters(new Dictionary<string, ParameterValue> { ["weight"] = new ScalarValue(1, place) }), Core.Numerics.DType.F32, null, null, null, "", RecipeForm.Models);
    }

    private static void Print(DeltaStatistics statistics, TextWriter error)
    {
        foreach (var (i, model) in statistics.Models.Index())
            error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{model}: |task vector| / |base| {statistics.RelativeNorms[i]:F4}; largest fifth of its entries holds {statistics.MagnitudeShares[i]:P0} of it"));
        for (var i = 0; i < statistics.Models.Count; i++)
            for (var j = i + 1; j < statistics.Models.Count; j++)
                error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{statistics.Models[i]} and {statistics.Models[j]}: cosine {statistics.Cosines[i][j]:F3}, sign conflict {statistics.SignConflicts[i][j]:P0}"));
        if (statistics.LayerCosines.Count > 0)
            error.WriteLine($"mean cosine by layer: {string.Join(", ", statistics.LayerCosines.Select(layer => string.Create(CultureInfo.InvariantCulture, $"{layer.Layer} {layer.Cosine:F3}")))}");
    }
}
