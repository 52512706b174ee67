using System.Globalization;
using System.Text;
using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Reports;

/// <summary>Points with error bars on one axis, one row a model, as SVG.</summary>
internal static class IntervalPlot
{
    private const int Left = 220;
    private const int Width = 760;
    private const int RowHeight = 26;

    public static string Svg(string title, IReadOnlyList<(string Model, Measurement Value)> rows)
    {
        var ends = rows.SelectMany(row => new[] { row.Value.Value, row.Value.Interval?.Low ?? row.Value.Value, row.Value.Interval?.High ?? row.Value.Value })
            .Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var (low, high) = (ends.Min(), ends.Max());
        var margin = high > low ? (high - low) * 0.06 : Math.Max(1e-6, Math.Abs(high) * 0.05);
        (low, high) = (low - margin, high + margin);
        var height = (rows.Count * RowHeight) + 34;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg role=\"img\" aria-label=\"{Html.Escape(title)}\" width=\"{Width}\" height=\"{height}\" viewBox=\"0 0 {Width} {height}\">\n");
        Axis(svg, low, high, height - 26);
        foreach (var (index, (model, value)) in rows.Index())
            Row(svg, model, value, (index * RowHeight) + 16, X);
        return svg.Append("</svg>\n").ToString();

        double X(double value) => Left + ((Math.Clamp(value, low, high) - low) / (high - low) * (Width - Left - 90));
    }

    private static void Row(StringBuilder svg, string model, Measurement value, int y, Func<double, double> x)
    {
        var label = model.Length > 30 ? model[..29] + "…" : model;
        svg.Append(CultureInfo.InvariantCulture, $"<g><title>{Html.Escape($"{model}: {Numbers.Text(value)}")}</title>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 12}\" y=\"{y + 4}\" text-anchor=\"end\">{Html.Escape(label)}</text>");
        if (value.Interval is { } range && double.IsFinite(range.Low) && double.IsFinite(range.High))
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"bar\" x1=\"{x(range.Low):0.#}\" x2=\"{x(range.High):0.#}\" y1=\"{y}\" y2=\"{y}\"/>")
                .Append(CultureInfo.InvariantCulture, $"<line class=\"bar\" x1=\"{x(range.Low):0.#}\" x2=\"{x(range.Low):0.#}\" y1=\"{y - 4}\" y2=\"{y + 4}\"/>")
                .Append(CultureInfo.InvariantCulture, $"<line class=\"bar\" x1=\"{x(range.High):0.#}\" x2=\"{x(range.High):0.#}\" y1=\"{y - 4}\" y2=\"{y + 4}\"/>");
        if (double.IsFinite(value.Value))
            svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"dot\" cx=\"{x(value.Value):0.#}\" cy=\"{y}\" r=\"4\"/>");
        svg.Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{Width - 80}\" y=\"{y + 4}\">{Numbers.Text(value.Value)}</text></g>\n");
    }

    private static void Axis(StringBuilder svg, double low, double high, int y)
    {
        svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - 90}\" y1=\"{y}\" y2=\"{y}\"/>\n");
        for (var i = 0; i <= 4; i++)
        {
            var x = Left + (i / 4.0 * (Width - Left - 90));
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{x:0.#}\" x2=\"{x:0.#}\" y1=\"{y}\" y2=\"{y + 4}\"/>")
                .Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{x:0.#}\" y=\"{y + 18}\" text-anchor=\"middle\">{Numbers.Text(low + (i / 4.0 * (high - low)))}</text>\n");
        }
    }
}
