using System.Globalization;
using System.Text;
using MergeKit.Core.Ensembles;

namespace MergeKit.Core.Reports;

/// <summary>A cascade's accuracy against its cost as a page of its own: the curve, the chosen point, and every point in a table.</summary>
public static class CascadePage
{
    private const int Width = 720, Height = 340, Left = 70, Bottom = 40, Top = 16, Right = 24;

    /// <summary>Writes the page.</summary>
    /// <param name="title">The heading.</param>
    /// <param name="curve">By rising threshold.</param>
    /// <param name="chosen">The chosen point.</param>
    /// <param name="notes">Remarks, one paragraph each.</param>
    public static string Write(string title, CascadeCurve curve, CascadePoint chosen, IEnumerable<string> notes)
    {
        var html = new StringBuilder();
        foreach (var note in notes)
            html.Append("<p class=\"note\">").Append(Html.Escape(note)).Append("</p>\n");
        html.Append("<h2>Accuracy against cost</h2>\n<figure><figcaption class=\"soft\">Mean cost per item to the right, share of right answers upwards; the dot is the chosen threshold.</figcaption>\n")
            .Append(Svg(title, curve.Points, chosen)).Append("</figure>\n<h2>Every threshold</h2>\n");
        Html.Table(html, "curve", ["threshold", "accuracy", "cost"], curve.Points.Select(point => (IEnumerable<string>)
            [Numbers.Text(point.Threshold), Numbers.Text(point.Accuracy), Numbers.Text(point.Cost) + (point.Threshold == chosen.Threshold ? " <small>chosen</small>" : "")]));
        return Html.Page(title, html.ToString());
    }

    private static string Svg(string title, IReadOnlyList<CascadePoint> points, CascadePoint chosen)
    {
        var (low, high) = (points.Min(point => point.Accuracy), points.Max(point => point.Accuracy));
        var margin = Math.Max(0.01, (high - low) * 0.08);
        (low, high) = (low - margin, high + margin);
        var (cheap, dear) = (points[0].Cost, Math.Max(points[^1].Cost, points[0].Cost + 1e-9));
        double X(double cost) => Left + ((cost - cheap) / (dear - cheap) * (Width - Left - Right));
        double Y(double accuracy) => Top + ((high - accuracy) / (high - low) * (Height - Top - Bottom));
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg role=\"img\" aria-label=\"{Html.Escape(title)}\" width=\"{Width}\" height=\"{Height}\" viewBox=\"0 0 {Width} {Height}\">\n");
        for (var i = 0; i <= 4; i++)
        {
            var (accuracy, cost) = (low + (i / 4.0 * (high - low)), cheap + (i / 4.0 * (dear - cheap)));
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(accuracy):0.#}\" y2=\"{Y(accuracy):0.#}\"/>")
                .Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{Left - 8}\" y=\"{Y(accuracy) + 4:0.#}\" text-anchor=\"end\">{Numbers.Text(accuracy)}</text>")
                .Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{X(cost):0.#}\" y=\"{Height - 14}\" text-anchor=\"middle\">{Numbers.Text(cost)}</text>\n");
        }

        var path = string.Join(' ', points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{X(point.Cost):0.#},{Y(point.Accuracy):0.#}")));
        return svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"curve\" points=\"{path}\"/>\n")
            .Append(CultureInfo.InvariantCulture, $"<circle class=\"dot\" cx=\"{X(chosen.Cost):0.#}\" cy=\"{Y(chosen.Accuracy):0.#}\" r=\"5\"/>\n</svg>\n").ToString();
    }
}
