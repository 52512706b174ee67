using System.Globalization;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Reports;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Cli.Display;

/// <summary>What a finished search says.</summary>
internal static class SearchDisplay
{
    public static void Print(SearchReport report, string folder, TextWriter writer)
    {
        var outcome = report.Outcome;
        var candidates = outcome.Candidates.ToList();
        writer.WriteLine($"{outcome.Counts}{(report.Resumed > 0 ? $"; {report.Resumed} trials taken from the journal" : "")}");
        if (candidates.Find(trial => trial.Failure is not null) is { } failed)
            writer.WriteLine($"the first to fail, {failed.Label}: {failed.Failure}");
        foreach (var note in outcome.Notes)
            writer.WriteLine(note);
        writer.WriteLine();
        writer.WriteLine($"on the tuning split (objective{string.Concat(outcome.Sets.Select(set => $"; {set.Name}, {set.Metric}"))}):");
        foreach (var trial in outcome.References.Prepend(outcome.Winner with { Label = "winner" }))
            writer.WriteLine(Line(report, trial));
        Test(report, writer);
        foreach (var warning in report.Warnings)
            writer.WriteLine($"note: {warning}");
        writer.WriteLine();
        writer.WriteLine($"{Path.Combine(folder, "winner.yml")}: the recipe");
        writer.WriteLine($"{Path.Combine(folder, "search.html")}: the report");
    }

    private static void Test(SearchReport report, TextWriter writer)
    {
        if (report.Test is not { } test)
            return;
        writer.WriteLine();
        writer.WriteLine("on the test split, opened once:");
        writer.WriteLine(MarkdownReport.Table(test).TrimEnd());
        writer.WriteLine();
        writer.WriteLine("against the winner, on the same items (95 % interval of the difference, model minus winner):");
        foreach (var one in test.Comparisons.Concat(test.Means))
            writer.WriteLine($"  {one.Model}, {one.DataSet}: {Comparison(one)}");
    }

    private static string Comparison(ModelComparison one) => string.Create(CultureInfo.InvariantCulture,
        $"{one.Metric} {one.Difference:+0.0000;-0.0000}{(one.Interval is { } range ? $" [{range.Low:+0.0000;-0.0000}, {range.High:+0.0000;-0.0000}]" : "")}{(one.Verdict is { } verdict ? $": {(verdict is "better" or "worse" ? $"{verdict} than the winner" : verdict)}" : "")}");

    private static string Line(SearchReport report, Trial trial) => string.Create(CultureInfo.InvariantCulture,
        $"  {trial.Label}: {trial.Objective:F5}{string.Concat(report.Outcome.Sets.Select((set, i) => FormattableString.Invariant($"; {set.Value(trial.Scores.Losses[i]):F5}")))}");
}
