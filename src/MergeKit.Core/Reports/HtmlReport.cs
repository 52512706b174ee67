using System.Globalization;
using System.Text;
using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Reports;

/// <summary>The report as one HTML file without scripts and without anything from a network: the table of models by data sets, the negative
/// log-likelihood of each model with its interval, the comparisons, and heat maps of what a merge changed.</summary>
public static class HtmlReport
{
    /// <summary>Writes the page. Every name is escaped.</summary>
    public static string Write(EvaluationReport report)
    {
        var html = new StringBuilder();
        Append(html, report);
        return Html.Page(report.Title, html.ToString());
    }

    /// <summary>The sections without the page around them.</summary>
    internal static void Append(StringBuilder html, EvaluationReport report)
    {
        foreach (var note in report.Notes)
            html.Append("<p class=\"note\">").Append(Html.Escape(note)).Append("</p>\n");
        if (report.Result is { } result)
        {
            if (!report.OneTokenizer)
                html.Append("<p class=\"note\">The models have different tokenizers: compare bits per byte, not figures per token.</p>\n");
            Overview(html, result);
            Plots(html, result, report.OneTokenizer);
            Comparisons(html, [.. result.Comparisons, .. result.Means]);
        }

        foreach (var routers in report.Routers)
            RouterSection.Write(html, routers);
        if (report.Layers.Count > 0)
            Layers(html, report.Layers);
        if (report.Result is not null)
            AllMetrics(html, report.Result);
    }

    private static void Overview(StringBuilder html, EvaluationResult result)
    {
        html.Append("<h2>Models and data sets</h2>\n");
        Html.Table(
            html, "results",
            ["model", .. result.DataSets.Select(data => $"{Html.Escape(data)}<br><small>{Html.Escape(result[result.Models[0], data].Measurements[0].Metric)}</small>")],
            result.Models.Select(model => (IEnumerable<string>)[Html.Escape(model), .. result.DataSets.Select(data => Cell(result[model, data].Measurements[0]))]));
        html.Append("<p class=\"soft\">Each value with its 95 % interval.</p>\n");
    }

    private static string Cell(Measurement m) => $"{Numbers.Text(m.Value)}<br><small>{Html.Escape(Numbers.Text(m.Interval))}</small>";

    private static void Plots(StringBuilder html, EvaluationResult result, bool oneTokenizer)
    {
        var metric = oneTokenizer ? "nll_per_token" : "bits_per_byte";
        var unit = oneTokenizer ? "nats per token" : "bits per byte";
        var data = result.DataSets.Where(name => result.Models.All(model => result[model, name].Measurements.Any(m => m.Metric == metric))).ToArray();
        if (data.Length == 0)
            return;
        html.Append("<h2>Negative log-likelihood per model</h2>\n<p class=\"soft\">").Append(unit).Append(", lower is better; bars are 95 % intervals.</p>\n");
        foreach (var name in data)
            html.Append("<figure><figcaption>").Append(Html.Escape(name)).Append("</figcaption>\n")
                .Append(IntervalPlot.Svg(name, result.Models.Select(model => (model, result[model, name][metric])).ToArray())).Append("</figure>\n");
    }

    private static void Comparisons(StringBuilder html, IReadOnlyList<ModelComparison> comparisons)
    {
        if (comparisons.Count == 0)
            return;
        var baselines = comparisons.Select(c => c.Baseline).Distinct(StringComparer.Ordinal).ToList();
        html.Append("<h2>Comparisons on the same items</h2>\n<p class=\"soft\">Model minus ").Append(baselines is [var only] ? Html.Escape(only) : "baseline").Append("; the interval is of 95 %.</p>\n");
        Html.Table(
            html, "comparisons",
            [baselines.Count > 1 ? "model<br><small>against</small>" : "model", "data set<br><small>metric</small>", "difference<br><small>interval</small>", "the model is", "p<br><small>by Holm</small>", "test", "detectable"],
            comparisons.Select(c => (IEnumerable<string>)
            [
                baselines.Count > 1 ? Two(c.Model, c.Baseline) : Html.Escape(c.Model), Two(c.DataSet, c.Metric), Two(Numbers.Text(c.Difference), Numbers.Text(c.Interval)),
                c.Verdict ?? "-", Two(Numbers.P(c.PValue), Numbers.P(c.PHolm)), Html.Escape(c.Test), c.Detectable is { } detectable ? Numbers.Text(detectable) : "-",
            ]));
    }

    private static string Two(string text, string small) => $"{Html.Escape(text)}<br><small>{Html.Escape(small)}</small>";

    private static void AllMetrics(StringBuilder html, EvaluationResult result)
    {
        html.Append("<details><summary>All metrics</summary>\n");
        Html.Table(
            html, "metrics",
            ["model", "data set", "metric", "value", "95 % interval", "interval by", "items"],
            result.Results.SelectMany(one => one.Measurements.Select(m => (IEnumerable<string>)
            [
                Html.Escape(one.Model), Html.Escape(one.DataSet), Html.Escape(m.Metric), Numbers.Text(m.Value), Numbers.Text(m.Interval), Html.Escape(m.Method),
                m.Count.ToString(CultureInfo.InvariantCulture),
            ])));
        html.Append("</details>\n");
    }

    private static void Layers(StringBuilder html, IReadOnlyList<LayerDelta> layers)
    {
        html.Append("<h2>What the merge changed</h2>\n<figure><figcaption>Norm of the change relative to the base, by layer</figcaption>\n")
            .Append(HeatMap.Svg("relative norm of the change", [.. layers.Select(delta => (delta.Layer, delta.Component, delta.RelativeNorm))], top: null))
            .Append("</figure>\n<figure><figcaption>Sign conflict between the sources: share of entries</figcaption>\n")
            .Append(HeatMap.Svg("sign conflict", [.. layers.Select(delta => (delta.Layer, delta.Component, delta.SignConflict))], top: 1))
            .Append("</figure>\n");
    }
}
