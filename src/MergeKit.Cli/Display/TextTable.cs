using Spectre.Console;

namespace MergeKit.Cli.Display;

/// <summary>A table that is drawn with Spectre.Console on a terminal and is plain aligned text, without escape codes, anywhere else.
/// Columns whose header begins with <c>#</c> hold numbers and are aligned to the right.</summary>
internal sealed class TextTable(params IReadOnlyList<string> headers)
{
    private readonly List<string[]> _rows = [];

    public int Count => _rows.Count;

    /// <summary>Adds a row with one cell per column. Control characters (names come from files) are shown as <c>?</c>.</summary>
    public void Add(params IEnumerable<string> cells) => _rows.Add([.. cells.Select(Clean)]);

    public void Write(TextWriter writer)
    {
        if (ReferenceEquals(writer, Console.Out) && !Console.IsOutputRedirected)
            WriteRich();
        else
            WritePlain(writer);
    }

    /// <summary>Text with every control character replaced.</summary>
    public static string Clean(string text) => string.Create(text.Length, text, (to, from) =>
    {
        for (var i = 0; i < to.Length; i++)
            to[i] = char.IsControl(from[i]) ? '?' : from[i];
    });

    private static bool IsNumeric(string header) => header.StartsWith('#');

    private void WritePlain(TextWriter writer)
    {
        var titles = headers.Select(header => header.TrimStart('#')).ToArray();
        var widths = titles.Select((title, column) => _rows.Select(row => row[column].Length).Append(title.Length).Max()).ToArray();
        foreach (var row in _rows.Prepend(titles))
            writer.WriteLine(string.Join("  ", row.Select((cell, column) => IsNumeric(headers[column]) ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]))).TrimEnd());
    }

    private void WriteRich()
    {
        var table = new Table { Border = TableBorder.Simple };
        foreach (var header in headers)
        {
            var column = new TableColumn(Markup.Escape(header.TrimStart('#')));
            table.AddColumn(IsNumeric(header) ? column.RightAligned() : column);
        }

        foreach (var row in _rows)
            table.AddRow([.. row.Select(Markup.Escape)]);
        AnsiConsole.Write(table);
    }
}
