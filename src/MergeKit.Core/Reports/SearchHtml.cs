using System.Globalization;
using System.Text;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Reports;

/// <summary>A search as one HTML file without scripts and without anything from a network: the winner, the test split, the trajectory, the importance of
/// parameters, the front, and what lies between start and winner.</summary>
public static class SearchHtml
{
    /// <summary>Share of the candidates that the plots' axes hold; the worst are drawn at the edge.</summary>
    private const double ShownShare = 0.9;

    /// <summary>Writes the page. Every name is escaped.</summary>
    public static string Write(SearchReport report)
    {
        var html = new StringBuilder();
        foreach (var warning in report.Warnings)
            html.Append("<p class=\"note\">").Append(Html.Escape(warning)).Append("</p>\n");
        Winner(html, report);
        if (report.Test is { } test)
        {
            var metrics = test.Results.Select(result => result.Measurements[0]).DistinctBy(metric => metric.Metric)
                .Select(metric => $"in {metric.Metric} above 0 means that the model is {(metric.HigherIsBetter ? "better" : "worse")} than the winner");
            html.Append("<h2>On the test split</h2>\n<p class=\"soft\">Opened once, after the search. The winner is the baseline. Of a difference, ").Append(Html.Escape(string.Join(", and ", metrics))).Append(".</p>\n");
            HtmlReport.Append(html, new EvaluationReport(report.Title, test, [], []));
        }

        Tuning(html, report);
        Trajectory(html, report);
        Importance(html, report);
        Curves(html, report);
        Front(html, report);
        return Html.Page(report.Title, html.ToString());
    }

    private static void Winner(StringBuilder html, SearchReport report)
    {
        var (outcome, winner) = (report.Outcome, report.Outcome.Winner);
        html.Append("<h2>The winner</h2>\n<p>").Append(Html.Escape(winner.Label)).Append(CultureInfo.InvariantCulture, $", objective {Numbers.Text(winner.Objective)} on the tuning split, ")
            .Append(CultureInfo.InvariantCulture, $"out of {outcome.Counts}. This recipe reproduces it:</p>\n<pre id=\"recipe\">").Append(Escaped(report.RecipeOf(winner))).Append("</pre>\n");
        if (outcome.Notes.Count > 0)
            html.Append("<ul>").AppendJoin("", outcome.Notes.Select(note => $"<li>{Html.Escape(note)}</li>")).Append("</ul>\n");
        if (winner.Values.Count == outcome.Variables.Count && winner.Values.Count > 0)
            Html.Table(html, "values", ["parameter", "value", "start", "range"], outcome.Variables.Zip(winner.Values, (variable, value) => (IEnumerable<string>)
                [Html.Escape(variable.Name), Numbers.Text(value), Numbers.Text(variable.Start), $"{Numbers.Text(variable.Low)} to {Numbers.Text(variable.High)}"]));
    }

    private static void Tuning(StringBuilder html, SearchReport report)
    {
        var outcome = report.Outcome;
        html.Append("<h2>On the tuning split</h2>\n<p class=\"soft\">The objective is the weighted mean of losses (bits per byte, 1 - accuracy), the lower the better. These numbers chose the winner and flatter it.</p>\n");
        Html.Table(html, "tuning", ["model", "objective", .. outcome.Sets.Select(set => $"{Html.Escape(set.Name)}<br><small>{Html.Escape(set.Metric)}{(set.Weight == 0 ? ", control" : "")}</small>")],
            outcome.References.Prepend(outcome.Winner with { Label = "winner" }).Select(trial => (IEnumerable<string>)
                [Html.Escape(trial.Label), Numbers.Text(trial.Objective), .. outcome.Sets.Select((set, i) => Numbers.Text(set.Value(trial.Scores.Losses[i])))]));
    }

    private static void Trajectory(StringBuilder html, SearchReport report)
    {
        var candidates = report.Outcome.Candidates.ToList();
        if (candidates.Count < 2)
            return;
        var best = new List<(double X, double Y)>();
        foreach (var (index, trial) in candidates.Index())
            best.Add((index + 1, Math.Min(best.Count > 0 ? best[^1].Y : double.PositiveInfinity, trial.CanWin ? trial.Objective : double.PositiveInfinity)));
        var plot = new LinePlot([.. candidates.Index().Select(pair => (pair.Index + 1.0, pair.Item.Objective)).OrderBy(point => point.Objective).Take((int)Math.Ceiling(candidates.Count * ShownShare)), (candidates.Count, best[^1].Y)]);
        plot.Dots(candidates.Index().Select(pair => (pair.Index + 1.0, pair.Item.Objective, $"{pair.Item.Label}: {Numbers.Text(pair.Item.Objective)}{(pair.Item.Failure is { } why ? $" ({why})" : "")}", !pair.Item.Scores.Complete)));
        plot.Curve("best so far", best);
        html.Append("<h2>Trajectory</h2>\n<p class=\"soft\">Every candidate in order; faint: given up early (estimated), or worse than the plot is high.</p>\n<figure>")
            .Append(plot.Svg("objective of every candidate", "candidate", "objective", counts: true)).Append("</figure>\n");
    }

    private static void Importance(StringBuilder html, SearchReport report)
    {
        if (report.Outcome.Importance.Count < 2)
            return;
        html.Append(CultureInfo.InvariantCulture, $"<h2>Which parameters matter</h2>\n<p class=\"soft\">Shares of the objective's variation in a quadratic regression without interactions, which explains {report.Outcome.ImportanceFit:P0} of it over the candidates tried (the worst tenth left out). ")
            .Append("Slope: change of the objective per range at the winner.</p>\n");
        Html.Table(html, "importance", ["parameter", "share", "slope", ""], report.Outcome.Importance.Take(40).Select(one => (IEnumerable<string>)
        [
            Html.Escape(one.Variable), one.Share.ToString("P1", CultureInfo.InvariantCulture), Numbers.Text(one.Direction),
            string.Create(CultureInfo.InvariantCulture, $"<svg width=\"204\" height=\"12\" role=\"img\" aria-label=\"{one.Share:P0}\"><rect class=\"dot\" width=\"{Math.Max(1, 200 * one.Share):0.#}\" height=\"10\" y=\"1\"/></svg>"),
        ]));
    }

    /// <summary>The way from start to winner, and for a single number the objective over it.</summary>
    private static void Curves(StringBuilder html, SearchReport report)
    {
        var outcome = report.Outcome;
        var line = outcome.Line.Select(trial => (Share: double.Parse(trial.Label["line ".Length..], CultureInfo.InvariantCulture), trial)).OrderBy(pair => pair.Share).ToList();
        if (line.Count > 1)
            Curve(html, report, "Between start and winner", "0: start (of a soup: its best member), 1: winner", line);
        var scales = SearchRunner.Scales(outcome.Trials).ToList();
        if (scales.Count > 1)
            Curve(html, report, "Uniform task arithmetic", "scale of all task vectors", scales);
        var single = outcome.Candidates.Where(trial => trial.Values.Count == 1 && outcome.Variables.Count == 1).Select(trial => (trial.Values[0], trial)).OrderBy(pair => pair.Item1).ToList();
        if (single.Count > 1)
            Curve(html, report, $"Over {outcome.Variables[0].Name}", outcome.Variables[0].Name, single);
    }

    private static void Curve(StringBuilder html, SearchReport report, string title, string axis, IReadOnlyList<(double X, Trial Trial)> points)
    {
        var sets = report.Outcome.Sets;
        var series = sets.Select((set, i) => (set.Name, points.Select(point => (point.X, point.Trial.Scores.Losses[i])).ToList())).ToList();
        if (sets.Count(set => set.Weight > 0) > 1)
            series.Insert(0, ("objective", points.Select(point => (point.X, point.Trial.Objective)).ToList()));
        var plot = new LinePlot(series.SelectMany(one => one.Item2));
        foreach (var (name, curve) in series)
            plot.Curve(name, curve);
        html.Append("<h2>").Append(Html.Escape(title)).Append("</h2>\n");
        if (points.Any(point => !point.Trial.Scores.Complete))
            html.Append("<p class=\"soft\">Points of candidates that were given up early are estimates.</p>\n");
        html.Append("<figure>").Append(plot.Svg(title, axis, "loss")).Append("</figure>\n");
    }

    private static void Front(StringBuilder html, SearchReport report)
    {
        var (outcome, front) = (report.Outcome, report.Outcome.Front);
        if (front.Count == 0)
            return;
        var counted = outcome.Sets.Index().Where(set => set.Item.Weight > 0).Take(2).ToList();
        (double X, double Y) At(Trial trial) => (trial.Scores.Losses[counted[0].Index], trial.Scores.Losses[counted[1].Index]);
        var all = outcome.Candidates.Where(trial => trial.CanWin).ToList();
        var plot = new LinePlot(all.OrderBy(trial => trial.Objective).Take((int)Math.Ceiling(all.Count * ShownShare)).Concat(front).Select(At));
        plot.Dots(all.Select(trial => (At(trial).X, At(trial).Y, trial.Label, !front.Contains(trial))));
        html.Append("<h2>The front</h2>\n<p class=\"soft\">Candidates that no other beats on all tuning sets at once; the others faint. The plot shows the first two sets. Each has its recipe among the files.</p>\n<figure>")
            .Append(plot.Svg("front", counted[0].Item.Name, counted[1].Item.Name)).Append("</figure>\n");
        Html.Table(html, "front", ["candidate", "objective", .. outcome.Sets.Select(set => Html.Escape(set.Name))], front.Select(trial => (IEnumerable<string>)
            [Html.Escape(trial.Label), Numbers.Text(trial.Objective), .. trial.Scores.Losses.Select(Numbers.Text)]));
    }

    /// <summary>Escaped text that keeps its lines.</summary>
    private static string Escaped(string text) => string.Join('\n', text.Split('\n').Select(Html.Escape));
}
