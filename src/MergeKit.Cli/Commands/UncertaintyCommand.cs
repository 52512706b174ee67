using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Workflows;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit uncertainty MODEL MODEL...</c>: how far several models agree, and whether disagreement tells errors.</summary>
internal static class UncertaintyCommand
{
    private static readonly string[] Titles = ["predictive entropy", "expected entropy", "mutual information", "votes for the favourite", "favourite is right"];

    private static readonly Argument<string[]> Models = new("MODEL") { Description = "Models: folders, or a recipe of an ensemble, whose members are taken one by one (passes under dropout too). At least two in all.", Arity = ArgumentArity.OneOrMore };
    private static readonly Option<string[]> Data = new("--data", "-d") { Description = "As for evaluate.", Required = true, AllowMultipleArgumentsPerToken = true, HelpName = "FILE" };
    private static readonly Option<int> Limit = new("--limit") { Description = "Only the first N items of each data set.", DefaultValueFactory = _ => 100, HelpName = "N" };

    public static Command Create()
    {
        var command = new Command("uncertainty", "Measure how far models agree: predictive entropy, mutual information, and whether they tell errors.")
        {
            Models, Data, Limit, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        DataSet[] data = [.. parsed.GetValue(Data)!.Select(path => DataSetReader.Read(CommonOptions.Resolve(parsed, path)))];
        using var interrupt = new Interrupt();
        var opened = new List<OpenedModel>();
        try
        {
            foreach (var folder in parsed.GetValue(Models)!)
                opened.Add(ModelOptions.Open(parsed, CommonOptions.ResolveModel(parsed, folder), error, interrupt.Token));
            var reports = data.Select(set => MemberDisagreement.Run([.. opened.SelectMany(Members)], set, parsed.GetValue(Limit), BagsOf(opened, set))).ToArray();
            if (parsed.GetValue(CommonOptions.Json))
                output.WriteLine(new JsonArray([.. reports.Select(Json)]).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
            else
                foreach (var report in reports)
                    Print(report, output);
        }
        finally
        {
            opened.ForEach(model => model.Dispose());
        }

        return ExitCodes.Done;
    }

    private static IEnumerable<EvaluatedModel> Members(OpenedModel opened) => opened.Model is Ensemble ensemble
        ? ensemble.Members.Select(member => new EvaluatedModel(member, opened.Encoder, opened.TokenizerId)) : [opened.ForEvaluation()];

    /// <summary>The members' bags, where a data set is what they were trained on resamples of.</summary>
    private static MemberBags? BagsOf(List<OpenedModel> opened, DataSet data)
    {
        var drawn = opened.Where(model => model.Bags?.Data == Path.GetFullPath(data.Path)).ToList();
        if (drawn.Count > 1)
            throw new InputException($"{data.Path}: two of the ensembles have members that were trained on resamples of it; put all members into one document");
        return drawn is [var one] ? one.Bags! with { Bags = [.. opened.SelectMany(model => model == one ? one.Bags.Bags : Members(model).Select(_ => (int?)null))] } : null;
    }

    private static void Print(UncertaintyReport report, TextWriter output)
    {
        output.WriteLine($"{report.DataSet}: {report.Items.Count} items, nats");
        if (report.LeftOut is { } left)
            output.WriteLine($"out of bag: every item is judged by the members that were not trained on it; {left} items, on which all but one or all members were trained, are left out");
        var table = new TextTable("", "#mean", "95 %");
        foreach (var (title, mean) in Titles.Zip(report.Means))
            table.Add(title, Figure.Text(mean.Mean), Figure.Range(mean.Normal95.Low, mean.Normal95.High));
        table.Write(output);
        output.WriteLine($"right by quarter, from the least disagreement to the most: {string.Join("  ", report.Quarters.Select(Figure.Text))}");
    }

    private static JsonNode Json(UncertaintyReport report) => new JsonObject
    {
        ["data"] = report.DataSet,
        ["means"] = new JsonObject(Titles.Zip(report.Means, (title, mean) => KeyValuePair.Create(title.Replace(' ', '_'), (JsonNode?)mean.Mean))),
        ["out_of_bag"] = report.LeftOut is not null,
        ["left_out"] = report.LeftOut ?? 0,
        ["right_by_quarter"] = new JsonArray([.. report.Quarters.Select(value => JsonValue.Create(value))]),
        ["items"] = new JsonArray([.. report.Items.Select(item => new JsonObject
        {
            ["predictive_entropy"] = item.PredictiveEntropy,
            ["expected_entropy"] = item.ExpectedEntropy,
            ["mutual_information"] = item.MutualInformation,
            ["votes"] = item.Votes,
            ["correct"] = item.Correct,
        })]),
    };
}
