using System.Globalization;
using System.Text;

namespace MergeKit.Core.Reports;

/// <summary>Points and curves over two axes, as SVG.</summary>
internal sealed class LinePlot
{
    private const int Left = 80, Right = 150, Top = 14, Bottom = 46, Width = 860, Height = 320;
    private static readonly string[] Dashes = ["", "7 4", "2 3", "9 3 2 3", "14 4", "1 5"];
    private readonly StringBuilder _body = new();
    private readonly double _left, _right, _low, _high;
    private int _curves;

    /// <summary>A plot whose axes hold the given points; what is not finite is left out.</summary>
    public LinePlot(IEnumerable<(double X, double Y)> extent)
    {
        var points = extent.Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y)).ToList();
        (_left, _right) = Range(points.ConvertAll(point => point.X), 0);
        (_low, _high) = Range(points.ConvertAll(point => point.Y), 0.06);
    }

    /// <summary>Adds dots, each with a text that shows when it is pointed at. What lies beyond the axes is drawn faintly at their edge.</summary>
    public void Dots(IEnumerable<(double X, double Y, string Text, bool Faint)> dots)
    {
        foreach (var (x, y, text, faint) in dots.Where(dot => double.IsFinite(dot.X) && !double.IsNaN(dot.Y)))
            _body.Append(CultureInfo.InvariantCulture,
                $"<circle class=\"dot{(faint || y > _high ? " faint" : "")}\" cx=\"{X(x):0.#}\" cy=\"{Y(y):0.#}\" r=\"3\"><title>{Html.Escape(text)}</title></circle>\n");
    }

    /// <summary>Adds a curve with its name at its end.</summary>
    public void Curve(string name, IReadOnlyList<(double X, double Y)> points)
    {
        var shown = points.Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y)).ToList();
        if (shown.Count == 0)
            return;
        var dash = Dashes[_curves++ % Dashes.Length];
        var style = dash.Length > 0 ? $" stroke-dasharray=\"{dash}\"" : "";
        _body.Append("<polyline class=\"curve\"").Append(style).Append(" points=\"")
            .AppendJoin(' ', shown.Select(point => string.Create(CultureInfo.InvariantCulture, $"{X(point.X):0.#},{Y(point.Y):0.#}"))).Append("\"/>\n");
        var label = name.Length > 20 ? name[..19] + "…" : name;
        _body.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(shown[^1].X) + 6:0.#}\" y=\"{Y(shown[^1].Y) + 4:0.#}\">{Html.Escape(label)}</text>\n");
    }

    /// <summary>The drawing, as wide as the page has room for.</summary>
    /// <param name="title">What it shows.</param>
    /// <param name="horizontal">The horizontal axis.</param>
    /// <param name="vertical">The vertical axis.</param>
    /// <param name="counts">Whether the horizontal axis counts: its marks are whole numbers.</param>
    public string Svg(string title, string horizontal, string vertical, bool counts = false)
    {
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg class=\"plot\" role=\"img\" aria-label=\"{Html.Escape(title)}\" width=\"{Width}\" height=\"{Height}\" viewBox=\"0 0 {Width} {Height}\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom}\"/>");
        svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{Left}\" x2=\"{Left}\" y1=\"{Top}\" y2=\"{Height - Bottom}\"/>\n");
        for (var i = 0; i <= 4; i++)
        {
            var (x, y) = (_left + (i / 4.0 * (_right - _left)), _low + (i / 4.0 * (_high - _low)));
            x = counts ? Math.Round(x) : x;
            var mark = counts ? x.ToString("0", CultureInfo.InvariantCulture) : Numbers.Text(x);
            if (!counts || i == 0 || Math.Round(_left + ((i - 1) / 4.0 * (_right - _left))) < x)
                svg.Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{X(x):0.#}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">{mark}</text>");
            svg.Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{Left - 8}\" y=\"{Y(y) + 4:0.#}\" text-anchor=\"end\">{Numbers.Text(y)}</text>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 8}\" text-anchor=\"middle\">{Html.Escape(horizontal)}</text>")
            .Append(CultureInfo.InvariantCulture, $"<text transform=\"translate(14,{Height / 2}) rotate(-90)\" text-anchor=\"middle\">{Html.Escape(vertical)}</text>\n");
        return svg.Append(_body).Append("</svg>\n").ToString();
    }

    private double X(double value) => Left + ((Math.Clamp(value, _left, _right) - _left) / (_right - _left) * (Width - Left - Right));

    private double Y(double value) => Height - Bottom - ((Math.Clamp(value, _low, _high) - _low) / (_high - _low) * (Height - Top - Bottom));

    private static (double Low, double High) Range(List<double> values, double margin)
    {
        if (values.Count == 0)
            return (0, 1);
        var (low, high) = (values.Min(), values.Max());
        var room = high > low ? (high - low) * margin : Math.Max(1e-6, Math.Abs(high) * 0.05);
        return (low - room, high + room);
    }
}
