using System.Net;
using System.Text;

namespace MergeKit.Core.Reports;

/// <summary>Text made safe for HTML and SVG, and the page around a report.</summary>
internal static class Html
{
    private const string Style = """
        :root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #ffffff; --mark: #0b62c4; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d; --page: #0d1117; --mark: #58a6ff; } }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto; max-width: 75rem; padding: 0 1rem; overflow-wrap: anywhere; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
        .scroll, figure { overflow-x: auto; } figure { margin: 1.2rem 0; } figcaption { margin-bottom: .3rem; } svg { display: block; } svg.plot { max-width: 100%; height: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; white-space: nowrap; }
        thead th { white-space: normal; overflow-wrap: break-word; vertical-align: bottom; min-width: 4rem; max-width: 18rem; }
        tbody th { white-space: normal; min-width: 8rem; max-width: 14rem; }
        td { max-width: 18rem; } td.wide { white-space: normal; min-width: 10rem; } small, .soft { color: var(--soft); }
        @media (max-width: 60rem) { th, td { padding: .3rem .4rem; } td { white-space: normal; overflow-wrap: break-word; } tbody th { min-width: 6rem; } td.wide { min-width: 7rem; } }
        summary { font-size: 1.2rem; font-weight: bold; margin-top: 2.2rem; cursor: pointer; }
        .note { border-left: 3px solid var(--mark); padding-left: .8rem; }
        svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
        svg .axis { stroke: var(--line); } svg .bar { stroke: var(--mark); stroke-width: 2; } svg .dot { fill: var(--mark); }
        svg .curve { fill: none; stroke: var(--mark); stroke-width: 2; } svg .faint { opacity: .35; } pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }
        svg .cell { fill: var(--mark); stroke: var(--page); } svg .frame { fill: none; stroke: var(--line); }
        """;

    /// <summary>Text for element content and quoted attributes; control characters become spaces.</summary>
    public static string Escape(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var c in text)
            clean.Append(char.IsControl(c) ? ' ' : c);
        return WebUtility.HtmlEncode(clean.ToString());
    }

    /// <summary>A page of its own: no script, no network.</summary>
    public static string Page(string title, string body) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>{Escape(title)}</title>
        <style>
        {Style}
        </style>
        </head>
        <body>
        <h1>{Escape(title)}</h1>
        {body}
        </body>
        </html>

        """;

    /// <summary>A table; cells are HTML already.</summary>
    public static void Table(StringBuilder html, string id, IEnumerable<string> head, IEnumerable<IEnumerable<string>> rows)
    {
        html.Append("<div class=\"scroll\"><table id=\"").Append(id).Append("\">\n<thead><tr>");
        foreach (var cell in head)
            html.Append("<th scope=\"col\">").Append(cell).Append("</th>");
        html.Append("</tr></thead>\n<tbody>\n");
        foreach (var row in rows)
        {
            html.Append("<tr>");
            foreach (var (index, cell) in row.Index())
                html.Append(index == 0 ? "<th scope=\"row\">" : cell.Length > 30 && !cell.Contains('<') ? "<td class=\"wide\">" : "<td>").Append(cell).Append(index == 0 ? "</th>" : "</td>");
            html.Append("</tr>\n");
        }

        html.Append("</tbody></table></div>\n");
    }
}
