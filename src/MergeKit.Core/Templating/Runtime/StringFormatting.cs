using System.Globalization;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary><c>str.format</c>: replacement fields with positions, names, attributes, items, conversions and specifications.</summary>
internal static class StringFormatting
{
    public static string Format(Rendering run, string format, Arguments arguments)
    {
        var automatic = 0;
        return Expand(format, 0);

        string Expand(string pattern, int depth)
        {
            var text = new StringBuilder();
            for (var i = 0; i < pattern.Length; i++)
            {
                var c = pattern[i];
                if (c is '{' or '}' && i + 1 < pattern.Length && pattern[i + 1] == c)
                {
                    text.Append(pattern[i++]);
                }
                else if (c == '}')
                {
                    throw new TemplateFault("single '}' encountered in format string");
                }
                else if (c == '{')
                {
                    var end = End(pattern, i);
                    text.Append(Field(pattern[(i + 1)..end], depth));
                    i = end;
                }
                else
                {
                    text.Append(c);
                }

                Python.CheckLength(text.Length);
            }

            return text.ToString();
        }

        string Field(string field, int depth)
        {
            if (depth > 1)
                throw new TemplateFault("a format string nests too deeply");
            var colon = field.IndexOf(':', StringComparison.Ordinal) is >= 0 and var at ? at : field.Length;
            var specification = colon < field.Length ? Expand(field[(colon + 1)..], depth + 1) : "";
            var (head, conversion) = (field[..colon], '\0');
            if (head.Length >= 2 && head[^2] == '!')
                (head, conversion) = (head[..^2], head[^1]);
            var nameEnd = head.IndexOfAny(['.', '[']) is >= 0 and var stop ? stop : head.Length;
            var value = Path(run, Root(head[..nameEnd]), head[nameEnd..]);
            value = conversion switch
            {
                '\0' => value,
                's' => PythonString.Text(value),
                'r' or 'a' => PythonString.Repr(value),
                _ => throw new TemplateFault($"unknown conversion specifier '{conversion}'"),
            };
            return PythonFormat.Format(value, specification);
        }

        object? Root(string name)
        {
            if (name.Length > 0 && !char.IsAsciiDigit(name[0]))
                return arguments.Named.TryGetValue(name, out var named) ? named : throw new TemplateFault($"format() has no argument '{name}'");
            var index = name.Length == 0 ? automatic++ : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : int.MaxValue;
            return index < arguments.Positional.Count
                ? arguments.Positional[index] : throw new TemplateFault($"replacement index {index} out of range for positional arguments");
        }
    }

    private static int End(string pattern, int start)
    {
        var depth = 0;
        for (var i = start; i < pattern.Length; i++)
        {
            depth += pattern[i] switch { '{' => 1, '}' => -1, _ => 0 };
            if (depth == 0)
                return i;
        }

        throw new TemplateFault("expected '}' before end of format string");
    }

    private static object? Path(Rendering run, object? value, string path)
    {
        while (path.Length > 0)
        {
            var bracket = path[0] == '[';
            var end = bracket ? path.IndexOf(']', StringComparison.Ordinal) : path.IndexOfAny(['.', '['], 1) is >= 0 and var at ? at : path.Length;
            if (end < 1)
                throw new TemplateFault("missing ']' in format string");
            var name = path[1..end];
            object key = bracket && long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : name;
            value = bracket ? Attributes.Item(run, value, key) : Attributes.Attribute(run, value, name);
            path = path[(end + (bracket ? 1 : 0))..];
        }

        return value;
    }
}
