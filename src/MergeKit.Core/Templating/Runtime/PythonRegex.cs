using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>A regular expression in the notation of Python's <c>re</c>, with a bound on time. Groups are numbered from left to right,
/// named ones too, as in Python.</summary>
internal sealed class PythonRegex
{
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    private readonly Dictionary<string, int> _names = new(StringComparer.Ordinal);

    /// <summary>Compiles a pattern. Errors: <see cref="ArgumentException"/> for one that is not valid.</summary>
    public PythonRegex(string pattern)
    {
        var text = new StringBuilder(pattern.Length);
        for (var i = 0; i < pattern.Length;)
            i += Translate(pattern, i, text);
        Regex = new Regex(text.ToString(), RegexOptions.CultureInvariant, Timeout);
    }

    /// <summary>The same expression for .NET; its groups carry the numbers 1 to <see cref="Groups"/>.</summary>
    public Regex Regex { get; }

    /// <summary>How many groups there are.</summary>
    public int Groups { get; private set; }

    /// <summary><c>re.sub</c>: at most <paramref name="count"/> matches (0: all), with <c>\1</c> and <c>\g&lt;name&gt;</c> in the replacement.</summary>
    public static string Replace(string text, string pattern, string replacement, long count)
    {
        try
        {
            var regex = new PythonRegex(pattern);
            var written = 0L;
            return regex.Regex.Replace(text, Evaluate, count <= 0 ? -1 : (int)Math.Min(count, int.MaxValue));

            string Evaluate(Match match)
            {
                var part = regex.Expand(match, replacement);
                Python.CheckLength(written += part.Length);
                return part;
            }
        }
        catch (ArgumentException error)
        {
            throw new TemplateFault($"regex_replace(): the pattern '{pattern}' is not valid: {error.Message}");
        }
        catch (RegexMatchTimeoutException)
        {
            throw new TemplateFault($"regex_replace(): the pattern '{pattern}' takes longer than {Timeout.TotalSeconds} s");
        }
    }

    /// <summary>Writes the .NET form of what begins at a position and returns how many characters that was.</summary>
    private int Translate(string pattern, int at, StringBuilder text)
    {
        var rest = pattern.AsSpan(at);
        if (rest[0] == '\\' && rest.Length > 1)
        {
            text.Append(rest[1] == 'Z' ? "\\z" : rest[..2]);
            return 2;
        }

        if (rest[0] == '[')
        {
            var end = ClassEnd(rest);
            text.Append(rest[..1]).Append(rest[1..end].ToString().Replace("[", "\\[", StringComparison.Ordinal).Replace("\\\\[", "\\[", StringComparison.Ordinal));
            return end;
        }

        if (rest.StartsWith("(?P<", StringComparison.Ordinal) && rest.IndexOf('>') is > 4 and var close)
        {
            _names[rest[4..close].ToString()] = ++Groups;
            text.Append(CultureInfo.InvariantCulture, $"(?<{Groups}>");
            return close + 1;
        }

        if (rest.StartsWith("(?P=", StringComparison.Ordinal) && rest.IndexOf(')') is > 4 and var stop)
        {
            text.Append(CultureInfo.InvariantCulture, $"\\k<{_names.GetValueOrDefault(rest[4..stop].ToString())}>");
            return stop + 1;
        }

        if (rest[0] == '(' && (rest.Length < 2 || rest[1] != '?'))
            text.Append(CultureInfo.InvariantCulture, $"(?<{++Groups}>");
        else
            text.Append(rest[0]);
        return 1;
    }

    /// <summary>The position of the bracket that closes a class; the last one if it is not closed.</summary>
    private static int ClassEnd(ReadOnlySpan<char> rest)
    {
        var start = rest.Length > 1 && rest[1] == '^' ? 2 : 1;
        for (var i = start; i < rest.Length; i++)
        {
            if (rest[i] == '\\')
                i++;
            else if (rest[i] == ']' && i > start)
                return i;
        }

        return rest.Length;
    }

    private string Expand(Match match, string replacement)
    {
        var text = new StringBuilder();
        for (var i = 0; i < replacement.Length; i++)
        {
            if (replacement[i] != '\\' || i + 1 == replacement.Length)
            {
                text.Append(replacement[i]);
                continue;
            }

            var c = replacement[++i];
            if (char.IsAsciiDigit(c) && c != '0')
            {
                var two = i + 1 < replacement.Length && char.IsAsciiDigit(replacement[i + 1]);
                text.Append(Group(match, replacement.Substring(i, two ? 2 : 1)));
                i += two ? 1 : 0;
            }
            else if (c == 'g' && i + 1 < replacement.Length && replacement[i + 1] == '<' && replacement.IndexOf('>', i) is > 0 and var end)
            {
                text.Append(Group(match, replacement[(i + 2)..end]));
                i = end;
            }
            else
            {
                text.Append(c switch { 'n' => "\n", 't' => "\t", 'r' => "\r", '\\' => "\\", _ => "\\" + c });
            }
        }

        return text.ToString();
    }

    private string Group(Match match, string name)
    {
        if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && !_names.TryGetValue(name, out index))
            index = int.MaxValue;
        return index <= Groups ? match.Groups[index].Value : throw new TemplateFault($"regex_replace(): invalid group reference '{name}'");
    }
}
