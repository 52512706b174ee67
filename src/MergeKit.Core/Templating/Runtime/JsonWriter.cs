using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>JSON as Python's <c>json.dumps</c> writes it.</summary>
internal sealed class JsonWriter(string? indent, string itemSeparator, string keySeparator, bool escapeNonAscii, bool sortKeys)
{
    private readonly StringBuilder _text = new();

    public string Write(object? value)
    {
        Value(value, 0);
        return _text.ToString();
    }

    private void Value(object? value, int depth)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        Python.CheckLength(_text.Length);
        switch (value)
        {
            case string text:
                Quote(text);
                break;
            case PythonDict dict:
                Pairs(dict, depth);
                break;
            case List<object?> or PythonTuple:
                Items(Python.Items(value), depth);
                break;
            default:
                _text.Append(Scalar(value) ?? throw new TemplateFault($"Object of type {Python.TypeName(value)} is not JSON serializable"));
                break;
        }
    }

    private static string? Scalar(object? value) => value switch
    {
        null => "null",
        bool flag => flag ? "true" : "false",
        double.NaN => "NaN",
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        double or long or System.Numerics.BigInteger => PythonString.Repr(value),
        _ => null,
    };

    private void Pairs(PythonDict dict, int depth)
    {
        var pairs = sortKeys ? Sorting.Sort(dict.Keys, key => key, false).Select(key => (key, dict.TryGet(key, out var value) ? value : null))
            : dict.Select(pair => (key: pair.Key, pair.Value));
        _text.Append('{');
        var first = true;
        foreach (var (key, value) in pairs)
        {
            Separate(first, depth + 1);
            Quote(key as string ?? Scalar(key) ?? throw new TemplateFault($"keys must be str, int, float, bool or None, not {Python.TypeName(key)}"));
            _text.Append(keySeparator);
            Value(value, depth + 1);
            first = false;
        }

        Close(first, depth, '}');
    }

    private void Items(IReadOnlyList<object?> items, int depth)
    {
        _text.Append('[');
        for (var i = 0; i < items.Count; i++)
        {
            Separate(i == 0, depth + 1);
            Value(items[i], depth + 1);
        }

        Close(items.Count == 0, depth, ']');
    }

    private void Separate(bool first, int depth)
    {
        _text.Append(first ? "" : itemSeparator);
        NewLine(depth);
    }

    private void Close(bool empty, int depth, char bracket)
    {
        if (!empty)
            NewLine(depth);
        _text.Append(bracket);
    }

    private void NewLine(int depth)
    {
        if (indent is null)
            return;
        _text.Append('\n');
        for (var i = 0; i < depth; i++)
            _text.Append(indent);
        Python.CheckLength(_text.Length);
    }

    private void Quote(string text)
    {
        _text.Append('"');
        foreach (var c in text)
        {
            var escape = c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                < ' ' => Unicode(c),
                > '~' when escapeNonAscii => Unicode(c),
                _ => null,
            };
            if (escape is null)
                _text.Append(c);
            else
                _text.Append(escape);
        }

        _text.Append('"');
    }

    private static string Unicode(char c) => "\\u" + ((int)c).ToString("x4", CultureInfo.InvariantCulture);
}
