using System.Globalization;
using System.Text;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Cli.Display;

/// <summary>Prints problems, one a line, errors last so that they stand next to the prompt.</summary>
internal static class ProblemPrinter
{
    private const int Shown = 100;

    public static void Print(IEnumerable<Problem> problems, TextWriter writer)
    {
        foreach (var group in problems.GroupBy(problem => problem.Severity).OrderBy(group => group.Key))
        {
            foreach (var problem in group.Take(Shown))
                writer.WriteLine(OneLine(problem.ToString()));
            if (group.Count() is var count and > Shown)
                writer.WriteLine($"{group.Key.ToString().ToLowerInvariant()}: and {count - Shown} more");
        }
    }

    /// <summary>Names that come from files may hold anything: line ends and terminal sequences are shown as escapes.</summary>
    public static string OneLine(string text)
    {
        if (!text.Any(char.IsControl))
            return text;
        var line = new StringBuilder();
        foreach (var c in text)
            line.Append(char.IsControl(c) ? string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}") : c.ToString());
        return line.ToString();
    }
}
