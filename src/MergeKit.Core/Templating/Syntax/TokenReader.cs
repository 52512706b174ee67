using System.Runtime.CompilerServices;

namespace MergeKit.Core.Templating.Syntax;

/// <summary>Walks over tokens, and keeps what the parsers share: depth, conditional code, special names in use.</summary>
internal sealed class TokenReader(List<Token> tokens, TemplateOptions options)
{
    private int _position;
    private int _depth;

    public Token Current => tokens[_position];

    public int Line => Current.Line;

    /// <summary>The token after the current one.</summary>
    public Token Ahead => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>How many conditions stand around; inside one, unknown filters fail only when they are reached.</summary>
    public int Conditions { get; set; }

    /// <summary>The names seen since a macro began, for each open macro.</summary>
    public Stack<HashSet<string>> MacroNames { get; } = new();

    public Token Next() => _position < tokens.Count - 1 ? tokens[_position++] : Current;

    public bool SkipOperator(string text) => Skip(Current.IsOperator(text));

    public bool SkipName(string text) => Skip(Current.IsName(text));

    public void ExpectOperator(string text)
    {
        if (!SkipOperator(text))
            throw Fault($"expected '{text}', got {Current}");
    }

    public string ExpectName() => Current.Kind == TokenKind.Name ? Next().Text : throw Fault($"expected a name, got {Current}");

    public void Expect(TokenKind kind)
    {
        if (Current.Kind != kind)
            throw Fault($"expected {new Token(kind, "", 0)}, got {Current}");
        Next();
    }

    /// <summary>Goes one level deeper; too deep is an error.</summary>
    public void Enter()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (++_depth > options.MaxNesting)
            throw Fault($"tags or brackets nest deeper than {options.MaxNesting}");
    }

    public void Leave() => _depth--;

    public TemplateException Fault(string reason) => new(options.Name, Line, reason, false);

    public TemplateException Fault(int line, string reason) => new(options.Name, line, reason, false);

    private bool Skip(bool found)
    {
        if (found)
            Next();
        return found;
    }
}
