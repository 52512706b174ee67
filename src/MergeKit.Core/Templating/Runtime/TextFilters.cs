using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Filters that work on text.</summary>
internal static class TextFilters
{
    public static readonly Dictionary<string, Builtin> Table = Builtin.Table(
        ("upper", "", c => c.SelfText.ToUpperInvariant()),
        ("lower", "", c => c.SelfText.ToLowerInvariant()),
        ("capitalize", "", c => StringMethods.Capitalize(c.SelfText)),
        ("title", "", c => Title(c.SelfText)),
        ("trim", "chars?", c => PythonString.Strip(c.SelfText, c.OptionalText(0))),
        ("replace", "old new count?", c => StringMethods.Replace(c.SelfText, PythonString.Text(c[0]), PythonString.Text(c[1]), c[2] is null ? -1 : c.Integer(2))),
        ("string safe", "", c => c.SelfText),
        ("escape e forceescape", "", c => Escape(c.SelfText)),
        ("striptags", "", c => StripTags(c.SelfText)),
        ("indent", "width? first? blank?", Indent),
        ("center", "width?", c => new BoundBuiltin(StringMethods.Find("center")!, c.SelfText).Call(c.Run, new Arguments([c.Value(0, 80L)], Arguments.NoNames))),
        ("truncate", "length? killwords? end? leeway?", Truncate),
        ("wordcount", "", c => (long)Regex.Count(c.SelfText, @"\w+")),
        ("wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?", c => WordWrap.Wrap(c.SelfText, c.Size(0, 79), c.Flag(1, true), c.OptionalText(2) ?? "\n", c.Flag(3, true))),
        ("format", "*", c => PythonFormat.Percent(c.SelfText, c.Arguments.Named.Count > 0 ? Named(c) : new PythonTuple(c.Arguments.Positional))),
        ("urlencode", "", UrlEncode),
        ("filesizeformat", "binary?", c => FileSize(c)),
        ("tojson", "*", ToJson),
        ("regex_replace", "pattern repl? count?", c => PythonRegex.Replace(c.SelfText, c.Text(0), c.Text(1), c.Integer(2))));

    private static PythonDict Named(Call call) => call.Arguments.Positional.Count > 0
        ? throw new TemplateFault("format() takes positional or keyword arguments, not both")
        : new PythonDict(call.Arguments.Named.Select(pair => KeyValuePair.Create((object?)pair.Key, pair.Value)));

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);

    private static string Title(string text)
    {
        var (result, start) = (new StringBuilder(text.Length), true);
        foreach (var c in text)
        {
            result.Append(start ? char.ToUpperInvariant(c) : char.ToLowerInvariant(c));
            start = PythonString.IsSpace(c) || c is '-' or '(' or '[' or '{' or '<';
        }

        return result.ToString();
    }

    private static string StripTags(string text)
    {
        var bare = Regex.Replace(text, "<!--.*?-->|<[^>]*>", "", RegexOptions.Singleline, PythonRegex.Timeout);
        return WebUtility.HtmlDecode(string.Join(' ', StringSplitting.Split(bare, null, -1)));
    }

    private static object Indent(Call call)
    {
        var width = call.Value(0, 4L) is string given ? given : new string(' ', call.Size(0, 4));
        Python.CheckLength((long)width.Length * (call.SelfText.AsSpan().Count('\n') + 1));
        var lines = StringSplitting.Lines(call.SelfText + "\n", keepEnds: false).Cast<string>()
            .Select((line, i) => i == 0 || (line.Length == 0 && !call.Flag(2)) ? line : width + line);
        return (call.Flag(1) ? width : "") + string.Join('\n', lines);
    }

    private static string Truncate(Call call)
    {
        var (text, length, end, leeway) = (call.SelfText, call.Integer(0, 255), call.Text(2, "..."), call.Value(3, null) is null ? 5 : call.Integer(3));
        if (length < PythonString.Length(end) || leeway < 0)
            throw new TemplateFault($"truncate(): expected length >= {PythonString.Length(end)} and leeway >= 0, got {length} and {leeway}");
        if (PythonString.Length(text) <= length + leeway)
            return text;
        var cut = text[..PythonString.Offset(text, length - PythonString.Length(end))];
        if (!call.Flag(1) && cut.LastIndexOf(' ') is >= 0 and var space)
            cut = cut[..space];
        return cut + end;
    }

    private static string UrlEncode(Call call)
    {
        var pairs = call.Self is PythonDict dict ? dict.Select(pair => (pair.Key, pair.Value))
            : call.Self is string || Python.TryIterate(call.Self) is not { } items ? null
            : items.Select(item => (Python.Items(item)[0], Python.Items(item)[1]));
        return pairs is null ? Quote(call.SelfText, "/")
            : string.Join('&', pairs.Select(pair => Plus(PythonString.Text(pair.Item1)) + "=" + Plus(PythonString.Text(pair.Item2))));

        static string Plus(string text) => Quote(text, " ").Replace(' ', '+');

        static string Quote(string text, string safe) => string.Concat(Encoding.UTF8.GetBytes(text).Select(b =>
            char.IsAsciiLetterOrDigit((char)b) || "_.-~".Contains((char)b) || safe.Contains((char)b) ? ((char)b).ToString() : $"%{b:X2}"));
    }

    private static string FileSize(Call call)
    {
        var bytes = call.Self is string text ? PythonNumber.ParseFloat(text) ?? throw new TemplateFault("filesizeformat(): not a number") : PythonNumber.ToDouble(call.Self);
        var unit = call.Flag(0) ? 1024.0 : 1000.0;
        if (bytes == 1)
            return "1 Byte";
        if (bytes < unit)
            return $"{PythonFormat.Fixed(Math.Truncate(bytes), 0)} Bytes";
        var prefixes = "kMGTPEZY";
        var power = 0;
        for (bytes /= unit; bytes >= unit && power < prefixes.Length - 1; power++)
            bytes /= unit;
        return $"{PythonFormat.Fixed(bytes, 1)} {(call.Flag(0) ? char.ToUpperInvariant(prefixes[power]) + "i" : prefixes[power].ToString())}B";
    }

    private static object ToJson(Call call)
    {
        var html = call.Run.Options.HtmlSafeJson;
        string[] names = html ? ["indent"] : ["ensure_ascii", "indent", "separators", "sort_keys"];
        var given = new Dictionary<string, object?>(call.Arguments.Named, StringComparer.Ordinal);
        if (call.Arguments.Positional.Count > names.Length)
            throw new TemplateFault($"tojson() takes at most {names.Length} arguments");
        for (var i = 0; i < call.Arguments.Positional.Count; i++)
            given[names[i]] = call.Arguments.Positional[i];
        if (given.Keys.FirstOrDefault(key => !names.Contains(key)) is { } unknown)
            throw new TemplateFault($"tojson() got an unexpected keyword argument '{unknown}'");
        var indent = given.GetValueOrDefault("indent") switch
        {
            null => null,
            string text => text,
            var width => new string(' ', (int)Math.Clamp((long)PythonNumber.ToInteger(width), 0, 1000)),
        };
        var separators = given.GetValueOrDefault("separators") is { } pair ? Python.Items(pair) : [indent is null ? ", " : ",", ": "];
        var ascii = html || Python.Truth(given.GetValueOrDefault("ensure_ascii"));
        var sort = html || Python.Truth(given.GetValueOrDefault("sort_keys"));
        var json = new JsonWriter(indent, PythonString.Text(separators[0]), PythonString.Text(separators[1]), ascii, sort).Write(call.Self);
        return !html ? json : json.Replace("<", "\\u003c", StringComparison.Ordinal).Replace(">", "\\u003e", StringComparison.Ordinal)
            .Replace("&", "\\u0026", StringComparison.Ordinal).Replace("'", "\\u0027", StringComparison.Ordinal);
    }
}
