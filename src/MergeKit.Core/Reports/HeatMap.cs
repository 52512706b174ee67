using System.Globalization;
using System.Text;

namespace MergeKit.Core.Reports;

/// <summary>A heat map, as SVG: the stronger the colour, the larger the value.</summary>
internal static class HeatMap
{
    private const int Left = 120;
    private const int Top = 96;
    private const int CellWidth = 46;
    private const int CellHeight = 18;
    private const int LegendRows = 5;

    /// <param name="title">For readers of the text alone.</param>
    /// <param name="cells">The cells; rows and columns in the order of their first appearance.</param>
    /// <param name="top">The value of full colour; null: the largest.</param>
    public static string Svg(string title, IReadOnlyList<(string Row, string Column, double Value)> cells, double? top)
    {
        var layers = cells.Select(cell => cell.Row).Distinct(StringComparer.Ordinal).ToList();
        var components = cells.Select(cell => cell.Column).Distinct(StringComparer.Ordinal).ToList();
        var full = top ?? cells.Select(cell => cell.Value).Where(double.IsFinite).DefaultIfEmpty(0).Max();
        var (width, height) = (Left + (components.Count * CellWidth) + 160, Top + (Math.Max(layers.Count, LegendRows) * CellHeight) + 8);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg role=\"img\" aria-label=\"{Html.Escape(title)}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n");
        foreach (var (column, component) in components.Index())
            svg.Append(CultureInfo.InvariantCulture,
                $"<text transform=\"translate({Left + (column * CellWidth) + 16},{Top - 8}) rotate(-40)\">{Html.Escape(Short(component))}</text>\n");
        foreach (var (row, layer) in layers.Index())
            svg.Append(CultureInfo.InvariantCulture,
                $"<text x=\"{Left - 8}\" y=\"{Top + (row * CellHeight) + 13}\" text-anchor=\"end\">{Html.Escape(Short(layer))}</text>\n");
        foreach (var cell in cells)
            Cell(svg, cell, full, components.IndexOf(cell.Column), layers.IndexOf(cell.Row));
        Legend(svg, full, Left + (components.Count * CellWidth) + 24);
        return svg.Append("</svg>\n").ToString();
    }

    private static void Cell(StringBuilder svg, (string Row, string Column, double Value) cell, double full, int column, int row) => svg.Append(
        CultureInfo.InvariantCulture,
        $"<rect class=\"cell\" x=\"{Left + (column * CellWidth)}\" y=\"{Top + (row * CellHeight)}\" width=\"{CellWidth}\" height=\"{CellHeight}\" fill-opacity=\"{Opacity(cell.Value, full):0.###}\">"
        + $"<title>{Html.Escape($"{cell.Row}, {cell.Column}: {Numbers.Text(cell.Value)}")}</title></rect>\n");

    private static void Legend(StringBuilder svg, double full, int x)
    {
        for (var i = 0; i < LegendRows; i++)
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"cell\" x=\"{x}\" y=\"{Top + (i * CellHeight)}\" width=\"18\" height=\"{CellHeight}\" fill-opacity=\"{Opacity(i / (LegendRows - 1.0), 1):0.###}\"/>")
                .Append(CultureInfo.InvariantCulture, $"<text class=\"soft\" x=\"{x + 24}\" y=\"{Top + (i * CellHeight) + 13}\">{Numbers.Text(full * i / (LegendRows - 1))}</text>\n");
    }

    private static double Opacity(double value, double full) =>
        double.IsFinite(value) && full > 0 ? 0.04 + (0.96 * Math.Clamp(value / full, 0, 1)) : 0.04;

    private static string Short(string text) => text.Length > 16 ? "…" + text[^15..] : text;
}
