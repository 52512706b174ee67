using System.Globalization;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>The methods of Python's <c>str</c>.</summary>
internal static class StringMethods
{
    private static readonly Dictionary<string, Builtin> Methods = Builtin.Table(
        ("upper", "", c => Self(c).ToUpperInvariant()),
        ("lower casefold", "", c => Self(c).ToLowerInvariant()),
        ("swapcase", "", c => string.Concat(Self(c).Select(ch => char.IsUpper(ch) ? char.ToLowerInvariant(ch) : char.ToUpperInvariant(ch)))),
        ("title", "", c => Title(Self(c))),
        ("capitalize", "", c => Capitalize(Self(c))),
        ("strip", "chars?", c => PythonString.Strip(Self(c), c.OptionalText(0))),
        ("lstrip", "chars?", c => PythonString.Strip(Self(c), c.OptionalText(0), right: false)),
        ("rstrip", "chars?", c => PythonString.Strip(Self(c), c.OptionalText(0), left: false)),
        ("removeprefix", "prefix", c => Self(c).StartsWith(c.Text(0), StringComparison.Ordinal) ? Self(c)[c.Text(0).Length..] : Self(c)),
        ("removesuffix", "suffix", c => Self(c).EndsWith(c.Text(0), StringComparison.Ordinal) ? Self(c)[..^c.Text(0).Length] : Self(c)),
        ("startswith", "prefix start? end?", c => Affix(c, (part, affix) => part.StartsWith(affix, StringComparison.Ordinal))),
        ("endswith", "suffix start? end?", c => Affix(c, (part, affix) => part.EndsWith(affix, StringComparison.Ordinal))),
        ("split", "sep? maxsplit?", c => StringSplitting.Split(Self(c), c.OptionalText(0), c.Integer(1, -1))),
        ("rsplit", "sep? maxsplit?", c => StringSplitting.RightSplit(Self(c), c.OptionalText(0), c.Integer(1, -1))),
        ("splitlines", "keepends?", c => StringSplitting.Lines(Self(c), c.Flag(0))),
        ("partition", "sep", c => StringSplitting.Partition(Self(c), c.Text(0), last: false)),
        ("rpartition", "sep", c => StringSplitting.Partition(Self(c), c.Text(0), last: true)),
        ("join", "iterable", c => Join(Self(c), c[0])),
        ("replace", "old new count?", c => Replace(Self(c), c.Text(0), c.Text(1), c.Integer(2, -1))),
        ("find", "sub start? end?", c => Find(c, last: false)),
        ("rfind", "sub start? end?", c => Find(c, last: true)),
        ("index", "sub start? end?", c => Find(c, last: false) is >= 0 and var at ? at : throw new TemplateFault("substring not found")),
        ("rindex", "sub start? end?", c => Find(c, last: true) is >= 0 and var at ? at : throw new TemplateFault("substring not found")),
        ("count", "sub start? end?", c => StringSplitting.Count(Part(c, 1).Text, c.Text(0))),
        ("center", "width fillchar?", c => Pad(c, before: 1, after: 1)),
        ("ljust", "width fillchar?", c => Pad(c, before: 0, after: 1)),
        ("rjust", "width fillchar?", c => Pad(c, before: 1, after: 0)),
        ("zfill", "width", c => ZeroFill(Self(c), c.Size(0))),
        ("expandtabs", "tabsize?", c => ExpandTabs(Self(c), (int)Math.Clamp(c.Integer(0, 8), 0, 1000))),
        ("format", "*", c => StringFormatting.Format(c.Run, Self(c), c.Arguments)),
        ("isalpha", "", c => All(c, char.IsLetter)),
        ("isdigit isdecimal", "", c => All(c, char.IsDigit)),
        ("isnumeric", "", c => All(c, char.IsNumber)),
        ("isalnum", "", c => All(c, ch => char.IsLetter(ch) || char.IsNumber(ch))),
        ("isspace", "", c => All(c, PythonString.IsSpace)),
        ("isascii", "", c => Self(c).All(char.IsAscii)),
        ("isupper", "", c => Self(c).Any(char.IsUpper) && !Self(c).Any(char.IsLower)),
        ("islower", "", c => Self(c).Any(char.IsLower) && !Self(c).Any(char.IsUpper)),
        ("istitle", "", c => Self(c).Any(char.IsLetter) && Title(Self(c)) == Self(c)),
        ("isidentifier", "", c => All(c, ch => char.IsLetterOrDigit(ch) || ch == '_') && !char.IsDigit(Self(c)[0])));

    public static Builtin? Find(string name) => Methods.GetValueOrDefault(name);

    public static string Capitalize(string text) =>
        text.Length == 0 ? "" : text[..1].ToUpperInvariant() + text[1..].ToLowerInvariant();

    public static string Replace(string text, string old, string with, long count)
    {
        if (old == with || count == 0)
            return text;
        var result = new StringBuilder();
        var position = 0;
        for (var done = 0L; done != count; done++)
        {
            Python.CheckLength(result.Length);
            var at = old.Length > 0 ? text.IndexOf(old, position, StringComparison.Ordinal) : position;
            if (at < 0 || at > text.Length)
                break;
            result.Append(text, position, at - position).Append(with);
            position = at + old.Length;
            if (old.Length > 0)
                continue;
            if (position == text.Length)
                return result.ToString();
            var width = PythonString.Offset(text[position..], 1);
            result.Append(text, position, width);
            position += width;
        }

        return result.Append(text, position, text.Length - position).ToString();
    }

    public static string Join(string separator, object? items)
    {
        var result = new StringBuilder();
        var first = true;
        var index = 0;
        foreach (var item in Python.Iterate(items))
        {
            result.Append(first ? "" : separator).Append(item as string
                ?? throw new TemplateFault($"sequence item {index}: expected str instance, {Python.TypeName(item)} found"));
            Python.CheckLength(result.Length);
            first = false;
            index++;
        }

        return result.ToString();
    }

    private static string Self(Call call) => (string)call.Self!;

    private static bool All(Call call, Func<char, bool> test) => Self(call) is { Length: > 0 } text && text.All(test);

    private static string Title(string text)
    {
        var (result, inside) = (new StringBuilder(text.Length), false);
        foreach (var c in text)
        {
            result.Append(inside ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c));
            inside = char.IsLetter(c);
        }

        return result.ToString();
    }

    /// <summary>The part between the optional arguments start and end, and the index of its first code point.</summary>
    private static (string Text, long Start) Part(Call call, int index)
    {
        var text = Self(call);
        if (call[index] is null && call[index + 1] is null)
            return (text, 0);
        var length = PythonString.Length(text);
        var (start, end) = (Clamp(call[index] is null ? 0 : call.Integer(index)), Clamp(call[index + 1] is null ? length : call.Integer(index + 1)));
        var from = PythonString.Offset(text, start);
        return (end > start ? text[from..PythonString.Offset(text, end)] : "", start);

        long Clamp(long value) => Math.Clamp(value < 0 ? value + length : value, 0, length);
    }

    private static object Affix(Call call, Func<string, string, bool> test)
    {
        var part = Part(call, 1).Text;
        return call[0] is PythonTuple many ? many.Items.Any(one => test(part, PythonString.Text(one))) : test(part, call.Text(0));
    }

    private static long Find(Call call, bool last)
    {
        var (part, start) = Part(call, 1);
        var at = last ? part.LastIndexOf(call.Text(0), StringComparison.Ordinal) : part.IndexOf(call.Text(0), StringComparison.Ordinal);
        return at < 0 ? -1 : start + PythonString.Length(part[..at]);
    }

    private static string Pad(Call call, int before, int after)
    {
        var (text, width) = (Self(call), call.Size(0));
        var missing = Math.Max(0, width - PythonString.Length(text));
        var left = before == 0 ? 0 : after == 0 ? missing : (missing / 2) + (missing & width & 1);
        var fill = call.Text(1, " ") is { Length: 1 } one ? one[0] : throw new TemplateFault("the fill character must be exactly one character long");
        return new string(fill, left) + text + new string(fill, missing - left);
    }

    private static string ZeroFill(string text, int width)
    {
        var sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + new string('0', Math.Max(0, width - PythonString.Length(text))) + text[sign..];
    }

    private static string ExpandTabs(string text, int size)
    {
        var (result, column) = (new StringBuilder(), 0);
        foreach (var c in text)
        {
            Python.CheckLength(result.Length);
            var width = c != '\t' ? 1 : size == 0 ? 0 : size - (column % size);
            result.Append(c == '\t' ? ' ' : c, c == '\t' ? width : 1);
            column = c is '\n' or '\r' ? 0 : column + width;
        }

        return result.ToString();
    }
}
