using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Templating.Syntax;

/// <summary>Reads the tokens between the delimiters of one tag.</summary>
internal sealed class TagScanner(string source, int start, int line, bool isVariable, List<Token> tokens)
{
    private static readonly Regex Float = new(
        @"\G(?<!\.)(?:[0-9]+_)*[0-9]+(?:(?:\.(?:[0-9]+_)*[0-9]+)?[eE][+-]?(?:[0-9]+_)*[0-9]+|\.(?:[0-9]+_)*[0-9]+)",
        RegexOptions.CultureInvariant);

    private static readonly Regex Integer = new(
        @"\G(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[1-9](?:_?[0-9])*|0(?:_?0)*)", RegexOptions.CultureInvariant);

    private static readonly string[] Operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    private readonly Stack<char> _open = new();
    private readonly string _close = isVariable ? "}}" : "%}";
    private int _line = line;

    /// <summary>Where reading stands: after the closing delimiter, or at the error.</summary>
    public int Position { get; private set; } = start;

    /// <summary>The white space sign before the closing delimiter, or NUL.</summary>
    public char EndSign { get; private set; }

    public void Run()
    {
        while (Position < source.Length)
        {
            if (_open.Count == 0 && AtEnd())
                return;
            var c = source[Position];
            if (char.IsWhiteSpace(c))
            {
                _line += c == '\n' ? 1 : 0;
                Position++;
            }
            else if (c is '\'' or '"')
            {
                QuotedString(c);
            }
            else if (char.IsLetter(c) || c == '_')
            {
                var end = Position + 1;
                while (end < source.Length && (char.IsLetterOrDigit(source[end]) || source[end] == '_'))
                    end++;
                Add(TokenKind.Name, end - Position);
            }
            else if (char.IsAsciiDigit(c))
            {
                Number();
            }
            else
            {
                Operator();
            }
        }

        throw new TemplateFault($"missing end of tag '{_close}'");
    }

    private bool AtEnd()
    {
        var sign = source[Position];
        var signed = sign == '-' || (sign == '+' && !isVariable) ? 1 : 0;
        if (string.CompareOrdinal(source, Position + signed, _close, 0, 2) != 0)
            return false;
        EndSign = signed == 1 ? sign : '\0';
        Position += signed + 2;
        return true;
    }

    private void Number()
    {
        if (Float.Match(source, Position) is { Success: true } real)
            Add(TokenKind.Float, real.Length);
        else
            Add(TokenKind.Integer, Integer.Match(source, Position).Length);
    }

    private void Operator()
    {
        var text = Array.Find(Operators, op => string.CompareOrdinal(source, Position, op, 0, op.Length) == 0)
            ?? throw new TemplateFault($"unexpected character '{source[Position]}' in a tag");
        if (text is "(" or "[" or "{")
        {
            _open.Push(text[0] == '(' ? ')' : text[0] == '[' ? ']' : '}');
        }
        else if (text is ")" or "]" or "}" && (!_open.TryPop(out var wanted) || wanted != text[0]))
        {
            throw new TemplateFault(wanted == 0 ? $"unexpected '{text}'" : $"unexpected '{text}', expected '{wanted}'");
        }

        Add(TokenKind.Operator, text.Length);
    }

    private void Add(TokenKind kind, int length)
    {
        tokens.Add(new Token(kind, source.Substring(Position, length), _line));
        Position += length;
    }

    private void QuotedString(char quote)
    {
        var end = Position + 1;
        while (end < source.Length && source[end] != quote)
            end += source[end] == '\\' ? 2 : 1;
        if (end >= source.Length)
            throw new TemplateFault("a string is not closed");
        var raw = source.AsSpan(Position + 1, end - Position - 1);
        tokens.Add(new Token(TokenKind.String, Unescape(raw), _line));
        _line += raw.Count('\n');
        Position = end + 1;
    }

    private static string Unescape(ReadOnlySpan<char> raw)
    {
        if (!raw.Contains('\\'))
            return raw.ToString();
        var text = new StringBuilder(raw.Length);
        for (var i = 0; i < raw.Length;)
        {
            if (raw[i] != '\\' || i + 1 == raw.Length)
                text.Append(raw[i++]);
            else
                i += Escape(raw[i..], text);
        }

        return text.ToString();
    }

    private static int Escape(ReadOnlySpan<char> raw, StringBuilder text)
    {
        const string Letters = "\\'\"abfnrtv";
        const string Values = "\\'\"\a\b\f\n\r\t\v";
        var c = raw[1];
        if (Letters.IndexOf(c, StringComparison.Ordinal) is >= 0 and var simple)
        {
            text.Append(Values[simple]);
            return 2;
        }

        if (c == '\n')
            return 2;
        if (c is 'x' or 'u' or 'U')
            return CodePoint(raw, c switch { 'x' => 2, 'u' => 4, _ => 8 }, text);
        if (c is >= '0' and <= '7')
        {
            var (length, value) = (1, 0);
            for (; length <= 3 && length < raw.Length && raw[length] is >= '0' and <= '7'; length++)
                value = (value * 8) + raw[length] - '0';
            text.Append((char)value);
            return length;
        }

        if (c == 'N')
            throw new TemplateFault("the escape \\N{...} of character names is not supported");
        text.Append('\\').Append(c);
        return 2;
    }

    private static int CodePoint(ReadOnlySpan<char> raw, int digits, StringBuilder text)
    {
        if (raw.Length < 2 + digits || !uint.TryParse(raw.Slice(2, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            || value > 0x10FFFF)
            throw new TemplateFault($"the escape '\\{raw[1]}' in a string needs {digits} hexadecimal digits of a code point");
        if (value > 0xFFFF)
            text.Append(char.ConvertFromUtf32((int)value));
        else
            text.Append((char)value);
        return 2 + digits;
    }
}
