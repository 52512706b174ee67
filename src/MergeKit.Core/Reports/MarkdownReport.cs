using System.Text;
using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Reports;

/// <summary>The report as Markdown tables: models by data sets with 95 % intervals, then the comparisons.</summary>
public static class MarkdownReport
{
    /// <summary>Writes the report.</summary>
    public static string Write(EvaluationReport report)
    {
        var text = new StringBuilder();
        text.Append("# ").Append(Escape(report.Title)).Append("\n\n");
        foreach (var note in report.Notes)
            text.Append("> ").Append(Escape(note)).Append("\n\n");
        if (report.Result is { } result)
        {
            Results(text, result);
            Comparisons(text, [.. result.Comparisons, .. result.Means]);
        }

        return text.ToString();
    }

    /// <summary>The table of models by data sets alone, each cell the data set's first metric.</summary>
    public static string Table(EvaluationResult result)
    {
        var text = new StringBuilder();
        Results(text, result);
        return text.ToString();
    }

    private static void Results(StringBuilder text, EvaluationResult result)
    {
        Row(text, ["model", .. result.DataSets.Select(data => $"{Escape(data)} ({Main(result, data)})")]);
        Row(text, Enumerable.Repeat("---", result.DataSets.Count + 1));
        foreach (var model in result.Models)
            Row(text, [Escape(model), .. result.DataSets.Select(data => Numbers.Text(result[model, data].Measurements[0]))]);
        text.Append("\nValues with 95 % intervals (")
            .AppendJoin("; ", result.DataSets.Select(data => $"{Escape(data)}: {result[result.Models[0], data].Measurements[0].Method}, n = {result[result.Models[0], data].Measurements[0].Count}"))
            .Append(").\n");
    }

    private static void Comparisons(StringBuilder text, IReadOnlyList<ModelComparison> comparisons)
    {
        if (comparisons.Count == 0)
            return;
        text.Append('\n');
        Row(text, ["model", "against", "data", "metric", "difference", "95 % interval", "p", "p (Holm)", "test"]);
        Row(text, Enumerable.Repeat("---", 9));
        foreach (var c in comparisons)
            Row(text,
            [
                Escape(c.Model), Escape(c.Baseline), Escape(c.DataSet), c.Metric, Numbers.Text(c.Difference), Numbers.Text(c.Interval),
                Numbers.P(c.PValue), Numbers.P(c.PHolm), c.Test,
            ]);
    }

    private static string Main(EvaluationResult result, string data) => result[result.Models[0], data].Measurements[0].Metric;

    private static void Row(StringBuilder text, IEnumerable<string> cells) => text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");

    /// <summary>Text that stays text in a table cell: no new lines, no markup.</summary>
    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (c is '\\' or '|' or '*' or '_' or '`' or '[' or ']' or '#')
                escaped.Append('\\').Append(c);
            else
                escaped.Append(c switch { '<' => "&lt;", '>' => "&gt;", '&' => "&amp;", < ' ' => " ", _ => c.ToString() });
        }

        return escaped.ToString();
    }
}
