using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Breaks lines at a width, between words.</summary>
internal static class WordWrap
{
    public static string Wrap(string text, int width, bool breakLongWords, string newline, bool breakOnHyphens)
    {
        if (width <= 0)
            throw new TemplateFault($"wordwrap(): width {width} must be positive");
        return string.Join(newline, StringSplitting.Lines(text, false).Select(line => Line((string)line!, width, breakLongWords, newline, breakOnHyphens)));
    }

    private static string Line(string line, int width, bool breakLongWords, string newline, bool breakOnHyphens)
    {
        var lines = new List<string>();
        var current = new StringBuilder();
        foreach (var chunk in Chunks(line, breakOnHyphens))
        {
            var rest = chunk;
            if (current.Length + rest.Length > width && current.Length > 0 && !(rest.Length > width && breakLongWords && current.Length < width))
                Flush();
            while (rest.Length > width && breakLongWords && !string.IsNullOrWhiteSpace(rest))
            {
                var room = width - current.Length;
                current.Append(rest, 0, room);
                rest = rest[room..];
                Flush();
            }

            if (!string.IsNullOrWhiteSpace(rest) || (current.Length > 0 || lines.Count == 0))
                current.Append(rest);
        }

        Flush();
        return string.Join(newline, lines);

        void Flush()
        {
            var done = current.ToString().TrimEnd(' ');
            if (done.Length > 0)
                lines.Add(done);
            current.Clear();
        }
    }

    private static IEnumerable<string> Chunks(string line, bool hyphens)
    {
        for (var i = 0; i < line.Length;)
        {
            var start = i;
            var space = PythonString.IsSpace(line[i]);
            while (i < line.Length && PythonString.IsSpace(line[i]) == space)
            {
                i++;
                if (hyphens && !space && line[i - 1] == '-' && i - start > 1 && i < line.Length && char.IsLetter(line[i]) && char.IsLetter(line[i - 2]))
                    break;
            }

            yield return line[start..i];
        }
    }
}
