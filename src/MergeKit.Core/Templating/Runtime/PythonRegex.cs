using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Regular expressions in Python's notation, with a bound on time.</summary>
internal static class PythonRegex
{
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    /// <summary>Compiles a pattern of Python's <c>re</c>. Errors: <see cref="ArgumentException"/> for a pattern that is not valid.</summary>
    public static Regex Compile(string pattern, RegexOptions options = RegexOptions.None) =>
        new(Translate(pattern), options | RegexOptions.CultureInvariant, Timeout);

    /// <summary><c>re.sub</c>: at most <paramref name="count"/> matches (0: all), with <c>\1</c> and <c>\g&lt;name&gt;</c> in the replacement.</summary>
    public static string Replace(string text, string pattern, string replacement, long count)
    {
        try
        {
            return Compile(pattern).Replace(text, match => Expand(match, replacement), count <= 0 ? -1 : (int)Math.Min(count, int.MaxValue));
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

    private static string Translate(string pattern)
    {
        var text = new StringBuilder(pattern.Length);
        for (var i = 0; i < pattern.Length; i++)
        {
            var rest = pattern.AsSpan(i);
            if (rest[0] == '\\' && rest.Length > 1)
            {
                text.Append(rest[1] == 'Z' ? "\\z" : rest[..2]);
                i++;
            }
            else if (rest.StartsWith("(?P<", StringComparison.Ordinal))
            {
                text.Append("(?<");
                i += 3;
            }
            else if (rest.StartsWith("(?P=", StringComparison.Ordinal) && rest.IndexOf(')') is > 4 and var end)
            {
                text.Append("\\k<").Append(rest[4..end]).Append('>');
                i += end;
            }
            else
            {
                text.Append(rest[0]);
            }
        }

        return text.ToString();
    }

    private static string Expand(Match match, string replacement)
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

    private static string Group(Match match, string name)
    {
        var known = int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            ? index < match.Groups.Count : match.Groups.ContainsKey(name);
        return known ? match.Groups[name].Value : throw new TemplateFault($"regex_replace(): invalid group reference '{name}'");
    }
}
