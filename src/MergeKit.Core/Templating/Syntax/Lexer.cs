using System.Text;
using System.Text.RegularExpressions;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Syntax;

/// <summary>Splits a template into text and tags with Jinja2's rules of white space; <see cref="TagScanner"/> reads inside the tags.</summary>
internal sealed class Lexer
{
    private static readonly Regex RawBegin = new(@"\G\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})", RegexOptions.CultureInvariant);
    private static readonly Regex RawEnd = new(@"\{%([-+]?)\s*endraw\s*(?:(\+%\})|(-%\}\s*)|%\})", RegexOptions.CultureInvariant);

    private readonly TemplateOptions _options;
    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _position;
    private int _line = 1;
    private bool _lineStarting = true;

    private Lexer(string source, TemplateOptions options)
    {
        _options = options;
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        _source = !options.KeepTrailingNewline && source.EndsWith('\n') ? source[..^1] : source;
    }

    /// <summary>All tokens, ending with <see cref="TokenKind.End"/>. Errors: <see cref="TemplateException"/>.</summary>
    public static List<Token> Read(string source, TemplateOptions options)
    {
        var lexer = new Lexer(source, options);
        try
        {
            lexer.Run();
        }
        catch (TemplateFault fault)
        {
            throw new TemplateException(options.Name, lexer._line, fault.Message, false);
        }

        return lexer._tokens;
    }

    private void Run()
    {
        while (_position < _source.Length)
        {
            var start = NextTag();
            if (start < 0)
            {
                Emit(TokenKind.Data, _source[_position..]);
                MoveTo(_source.Length);
                break;
            }

            var kind = _source[start + 1];
            var sign = start + 2 < _source.Length ? _source[start + 2] : '\0';
            Text(start, sign, isVariable: kind == '{');
            MoveTo(start);
            if (kind == '#')
                Comment(sign);
            else if (kind == '%' && RawBegin.Match(_source, start) is { Success: true } raw)
                Raw(raw);
            else
                Tag(kind == '{', sign);
        }

        Emit(TokenKind.End, "");
    }

    private int NextTag()
    {
        for (var i = _source.IndexOf('{', _position); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
            if (_source[i + 1] is '{' or '%' or '#')
                return i;
        return -1;
    }

    private void Text(int end, char sign, bool isVariable)
    {
        var text = _source[_position..end];
        if (sign == '-')
        {
            text = PythonString.Strip(text, null, left: false);
        }
        else if (sign != '+' && _options.LeftStripBlocks && !isVariable)
        {
            var lineStart = text.LastIndexOf('\n') + 1;
            if ((lineStart > 0 || _lineStarting) && text.AsSpan(lineStart).Trim().IsEmpty)
                text = text[..lineStart];
        }

        if (text.Length > 0)
            Emit(TokenKind.Data, text);
    }

    private void Comment(char sign)
    {
        var body = _position + (sign is '-' or '+' ? 3 : 2);
        var end = body <= _source.Length ? _source.IndexOf("#}", body, StringComparison.Ordinal) : -1;
        if (end < 0)
            throw new TemplateFault("missing end of comment tag '#}'");
        AfterTag(end > body ? _source[end - 1] : '\0', end + 2, trims: true);
    }

    private void Raw(Match begin)
    {
        var body = begin.Index + begin.Length;
        var end = RawEnd.Match(_source, body);
        if (!end.Success)
            throw new TemplateFault("missing end of raw block '{% endraw %}'");
        MoveTo(body);
        Text(end.Index, end.Groups[1].Length > 0 ? end.Groups[1].Value[0] : '\0', isVariable: false);
        AfterTag(end.Groups[2].Success ? '+' : end.Groups[3].Success ? '-' : '\0', end.Index + end.Length, trims: true);
    }

    private void Tag(bool isVariable, char sign)
    {
        Emit(isVariable ? TokenKind.VariableBegin : TokenKind.BlockBegin, "");
        var scanner = new TagScanner(_source, _position + (sign is '-' or '+' ? 3 : 2), _line, isVariable, _tokens);
        try
        {
            scanner.Run();
        }
        finally
        {
            MoveTo(scanner.Position);
        }

        Emit(isVariable ? TokenKind.VariableEnd : TokenKind.BlockEnd, "");
        AfterTag(scanner.EndSign, scanner.Position, trims: !isVariable);
    }

    private void AfterTag(char sign, int position, bool trims)
    {
        if (sign == '-')
            while (position < _source.Length && PythonString.IsSpace(_source[position]))
                position++;
        else if (sign != '+' && trims && _options.TrimBlocks && position < _source.Length && _source[position] == '\n')
            position++;
        MoveTo(position);
        _lineStarting = position > 0 && _source[position - 1] == '\n';
    }

    private void MoveTo(int position)
    {
        if (position <= _position)
            return;
        _line += _source.AsSpan(_position, position - _position).Count('\n');
        _lineStarting = _source[position - 1] == '\n';
        _position = position;
    }

    private void Emit(TokenKind kind, string text) => _tokens.Add(new Token(kind, text, _line));
}
