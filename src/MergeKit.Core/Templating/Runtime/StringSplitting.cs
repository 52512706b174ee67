namespace MergeKit.Core.Templating.Runtime;

/// <summary>Python's ways to cut a string into parts.</summary>
internal static class StringSplitting
{
    /// <summary><c>split</c>; a null separator cuts at runs of white space.</summary>
    public static List<object?> Split(string text, string? separator, long most)
    {
        var parts = new List<object?>();
        most = most < 0 ? long.MaxValue : most;
        if (separator is not null)
        {
            var position = 0;
            for (; parts.Count < most && text.IndexOf(NotEmpty(separator), position, StringComparison.Ordinal) is >= 0 and var at; position = at + separator.Length)
                parts.Add(text[position..at]);
            parts.Add(text[position..]);
            return parts;
        }

        for (var i = 0; ;)
        {
            while (i < text.Length && PythonString.IsSpace(text[i]))
                i++;
            if (i == text.Length)
                return parts;
            var start = i;
            while (i < text.Length && !PythonString.IsSpace(text[i]))
                i++;
            if (parts.Count < most)
            {
                parts.Add(text[start..i]);
                continue;
            }

            parts.Add(text[start..]);
            return parts;
        }
    }

    /// <summary><c>rsplit</c>: counts the cuts from the right.</summary>
    public static List<object?> RightSplit(string text, string? separator, long most)
    {
        var parts = new List<object?>();
        most = most < 0 ? long.MaxValue : most;
        var end = text.Length;
        if (separator is not null)
        {
            while (parts.Count < most && text.AsSpan(0, end).LastIndexOf(NotEmpty(separator), StringComparison.Ordinal) is >= 0 and var at)
            {
                parts.Add(text[(at + separator.Length)..end]);
                end = at;
            }

            parts.Add(text[..end]);
            parts.Reverse();
            return parts;
        }

        while (true)
        {
            while (end > 0 && PythonString.IsSpace(text[end - 1]))
                end--;
            if (end == 0)
                break;
            var start = end;
            while (start > 0 && !PythonString.IsSpace(text[start - 1]))
                start--;
            parts.Add(parts.Count < most ? text[start..end] : text[..end]);
            if (parts.Count > most)
                break;
            end = start;
        }

        parts.Reverse();
        return parts;
    }

    /// <summary><c>splitlines</c>.</summary>
    public static List<object?> Lines(string text, bool keepEnds)
    {
        var lines = new List<object?>();
        for (var start = 0; start < text.Length;)
        {
            var end = start;
            while (end < text.Length && text[end] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029'))
                end++;
            var next = end + (end + 1 < text.Length && text[end] == '\r' && text[end + 1] == '\n' ? 2 : 1);
            lines.Add(text[start..(keepEnds ? Math.Min(next, text.Length) : end)]);
            start = next;
        }

        return lines;
    }

    /// <summary><c>partition</c> and <c>rpartition</c>.</summary>
    public static PythonTuple Partition(string text, string separator, bool last)
    {
        var at = last ? text.LastIndexOf(NotEmpty(separator), StringComparison.Ordinal) : text.IndexOf(NotEmpty(separator), StringComparison.Ordinal);
        if (at < 0)
            return new PythonTuple(last ? ["", "", text] : [text, "", ""]);
        return new PythonTuple([text[..at], separator, text[(at + separator.Length)..]]);
    }

    /// <summary>How often a part occurs without overlap; an empty part occurs before every character and at the end.</summary>
    public static long Count(string text, string part)
    {
        if (part.Length == 0)
            return PythonString.Length(text) + 1L;
        var count = 0L;
        for (var at = text.IndexOf(part, StringComparison.Ordinal); at >= 0; at = text.IndexOf(part, at + part.Length, StringComparison.Ordinal))
            count++;
        return count;
    }

    private static string NotEmpty(string separator) => separator.Length > 0 ? separator : throw new TemplateFault("empty separator");
}
