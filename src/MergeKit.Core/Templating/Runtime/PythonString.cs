using System.Globalization;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Strings counted and cut by code points, and the text that Python prints for values.</summary>
internal static class PythonString
{
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static int Length(string text)
    {
        var pairs = 0;
        for (var i = 1; i < text.Length; i++)
            if (char.IsLowSurrogate(text[i]) && char.IsHighSurrogate(text[i - 1]))
                pairs++;
        return text.Length - pairs;
    }

    /// <summary>The code points as strings of their own; a lone surrogate counts as one.</summary>
    public static IEnumerable<string> Characters(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
                yield return text.Substring(i++, 2);
            else
                yield return text[i].ToString();
        }
    }

    /// <summary>The offset in UTF-16 units of the code point with the given index.</summary>
    public static int Offset(string text, long index)
    {
        var offset = 0;
        for (; index > 0 && offset < text.Length; index--)
            offset += offset + 1 < text.Length && char.IsSurrogatePair(text[offset], text[offset + 1]) ? 2 : 1;
        return offset;
    }

    /// <summary>Order by code points.</summary>
    public static int Compare(string a, string b)
    {
        for (var i = 0; i < a.Length && i < b.Length; i++)
        {
            if (a[i] == b[i])
                continue;
            var (x, y) = (char.IsSurrogate(a[i]), char.IsSurrogate(b[i]));
            return x == y ? a[i].CompareTo(b[i]) : x ? 1 : -1;
        }

        return a.Length.CompareTo(b.Length);
    }

    /// <summary>Without leading and trailing characters of a set; null means white space.</summary>
    public static string Strip(string text, string? characters, bool left = true, bool right = true)
    {
        var (start, end) = (0, text.Length);
        var set = characters is null ? null : Characters(characters).ToHashSet(StringComparer.Ordinal);
        while (left && start < end && Width(text, start) is var width && In(text.Substring(start, width)))
            start += width;
        while (right && end > start && (end - 2 >= start && char.IsSurrogatePair(text[end - 2], text[end - 1]) ? 2 : 1) is var width
            && In(text.Substring(end - width, width)))
            end -= width;
        return text[start..end];

        bool In(string c) => set is null ? IsSpace(c[0]) : set.Contains(c);
    }

    /// <summary><c>str(value)</c>.</summary>
    public static string Text(object? value)
    {
        if (value is string text)
            return text;
        if (value is not Undefined undefined)
            return Repr(value);
        undefined.Use();
        return "";
    }

    /// <summary><c>repr(value)</c>.</summary>
    public static string Repr(object? value)
    {
        var text = new StringBuilder();
        Repr(value, text);
        return text.ToString();
    }

    /// <summary>A float as Python prints it: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.</summary>
    public static string Float(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        if (value == 0)
            return double.IsNegative(value) ? "-0.0" : "0.0";
        var parts = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture).Split('E');
        var point = parts[0].IndexOf('.', StringComparison.Ordinal) is >= 0 and var at ? at : parts[0].Length;
        var all = parts[0].Replace(".", "", StringComparison.Ordinal);
        var digits = all.TrimStart('0');
        var exponent = point - 1 - (all.Length - digits.Length) + (parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 0);
        digits = digits.TrimEnd('0');
        var sign = value < 0 ? "-" : "";
        if (exponent is < -4 or >= 16)
            return $"{sign}{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        return digits.Length <= exponent + 1
            ? $"{sign}{digits.PadRight(exponent + 1, '0')}.0"
            : $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    private static int Width(string text, int at) => at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1;

    private static void Repr(object? value, StringBuilder text)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        Python.CheckLength(text.Length);
        switch (value)
        {
            case string s:
                Quote(s, text);
                break;
            case double number:
                text.Append(Float(number));
                break;
            case List<object?> list:
                Sequence("[", list, "]", text);
                break;
            case PythonTuple tuple:
                Sequence("(", tuple.Items, tuple.Items.Count == 1 ? ",)" : ")", text);
                break;
            case PythonView view:
                Sequence(view.Kind + "([", view.Items, "])", text);
                break;
            case PythonDict dict:
                text.Append('{');
                foreach (var (key, item) in dict)
                {
                    Repr(key, text);
                    text.Append(": ");
                    Repr(item, text);
                    text.Append(", ");
                }

                text.Length -= dict.Count > 0 ? 2 : 0;
                text.Append('}');
                break;
            default:
                text.Append(Simple(value));
                break;
        }
    }

    private static string Simple(object? value) => value switch
    {
        null => "None",
        bool flag => flag ? "True" : "False",
        PythonRange { Step: 1 } range => $"range({range.Start}, {range.Stop})",
        PythonRange range => $"range({range.Start}, {range.Stop}, {range.Step})",
        Undefined => "Undefined",
        PythonIterator or TemplateObject => $"<{Python.TypeName(value)}>",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };

    private static void Sequence(string open, IReadOnlyList<object?> items, string close, StringBuilder text)
    {
        text.Append(open);
        for (var i = 0; i < items.Count; i++)
        {
            text.Append(i > 0 ? ", " : "");
            Repr(items[i], text);
        }

        text.Append(close);
    }

    private static void Quote(string value, StringBuilder text)
    {
        var quote = value.Contains('\'') && !value.Contains('"') ? '"' : '\'';
        text.Append(quote);
        foreach (var character in Characters(value))
        {
            var c = character[0];
            if (c == quote || c == '\\')
                text.Append('\\').Append(c);
            else if (c is '\n' or '\r' or '\t')
                text.Append(c switch { '\n' => "\\n", '\r' => "\\r", _ => "\\t" });
            else if (IsPrintable(character))
                text.Append(character);
            else if (character.Length == 2)
                text.Append("\\U").Append(char.ConvertToUtf32(character, 0).ToString("x8", CultureInfo.InvariantCulture));
            else
                text.Append(c < 256 ? "\\x" : "\\u").Append(((int)c).ToString(c < 256 ? "x2" : "x4", CultureInfo.InvariantCulture));
        }

        text.Append(quote);
    }

    private static bool IsPrintable(string character) => character == " " || CharUnicodeInfo.GetUnicodeCategory(character, 0) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
