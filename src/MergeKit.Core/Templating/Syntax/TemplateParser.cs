using MergeKit.Core.Diagnostics;
using MergeKit.Core.Templating.Nodes;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Syntax;

/// <summary>Reads the statements of a template.</summary>
internal sealed class TemplateParser
{
    private static readonly string[] NotSupported = ["include", "import", "from", "extends", "block", "trans", "do", "debug", "pluralize"];

    private readonly TokenReader _reader;
    private readonly ExpressionParser _expressions;
    private readonly Dictionary<string, Func<int, Statement>> _tags;
    private int _loops;

    private TemplateParser(List<Token> tokens, TemplateOptions options)
    {
        _reader = new TokenReader(tokens, options);
        _expressions = new ExpressionParser(_reader);
        _tags = new Dictionary<string, Func<int, Statement>>(StringComparer.Ordinal)
        {
            ["if"] = ParseIf,
            ["for"] = ParseFor,
            ["set"] = ParseSet,
            ["with"] = ParseWith,
            ["macro"] = ParseMacro,
            ["call"] = ParseCall,
            ["filter"] = ParseFilterBlock,
            ["generation"] = line => Body("endgeneration"),
            ["autoescape"] = ParseAutoescape,
            ["print"] = ParsePrint,
            ["break"] = line => Jump(line, Flow.Break, "break"),
            ["continue"] = line => Jump(line, Flow.Continue, "continue"),
        };
    }

    /// <summary>The whole template as one block. Errors: <see cref="TemplateException"/>.</summary>
    public static Block Parse(string source, TemplateOptions options)
    {
        var parser = new TemplateParser(Lexer.Read(source, options), options);
        var statements = parser.Statements();
        if (parser._reader.Current.Kind != TokenKind.End)
            throw parser._reader.Fault(parser._reader.Ahead.Line, $"unexpected tag '{parser._reader.Ahead.Text}' without a beginning");
        return new Block(1, statements);
    }

    /// <summary>Statements up to the end or to a tag that is not a beginning; the reader stands before that tag.</summary>
    private List<Statement> Statements(params string[] ends)
    {
        var statements = new List<Statement>();
        while (_reader.Current.Kind != TokenKind.End)
        {
            var token = _reader.Current;
            if (token.Kind == TokenKind.Data)
            {
                statements.Add(new TextOutput(token.Line, _reader.Next().Text));
            }
            else if (token.Kind == TokenKind.VariableBegin)
            {
                _reader.Next();
                statements.Add(new Print(_reader.Line, _expressions.ParseTuple()));
                _reader.Expect(TokenKind.VariableEnd);
            }
            else if (ends.Contains(_reader.Ahead.Text))
            {
                break;
            }
            else
            {
                statements.Add(Tag());
            }
        }

        return statements;
    }

    private Statement Tag()
    {
        _reader.Next();
        var line = _reader.Line;
        var name = _reader.ExpectName();
        if (!_tags.TryGetValue(name, out var parse))
            throw _reader.Fault(line, NotSupported.Contains(name) ? $"the tag '{name}' is not supported in this kind of template"
                : $"unknown tag '{name}'.{Spelling.Hint(name, _tags.Keys)}");
        _reader.Enter();
        var statement = parse(line);
        _reader.Leave();
        _reader.Expect(TokenKind.BlockEnd);
        return statement;
    }

    /// <summary>Ends the opening tag, reads up to one of the ends, and takes its name; the reader stands after that name.</summary>
    private (Block Body, string End) BodyUntil(params string[] ends)
    {
        var line = _reader.Line;
        _reader.Expect(TokenKind.BlockEnd);
        var statements = Statements(ends);
        if (_reader.Current.Kind == TokenKind.End)
            throw _reader.Fault(line, $"the tag opened here is not closed: expected '{string.Join("' or '", ends)}'");
        _reader.Next();
        return (new Block(line, statements), _reader.ExpectName());
    }

    private Block Body(string end) => BodyUntil(end).Body;

    private If ParseIf(int line)
    {
        var branches = new List<(Expression, Statement)>();
        Statement? otherwise = null;
        var end = "elif";
        _reader.Conditions++;
        while (end == "elif")
        {
            var test = _expressions.ParseTuple(conditional: false);
            (var body, end) = BodyUntil("elif", "else", "endif");
            branches.Add((test, body));
        }

        if (end == "else")
            otherwise = Body("endif");
        _reader.Conditions--;
        return new If(line, branches, otherwise);
    }

    private For ParseFor(int line)
    {
        var target = ParseTarget(attribute: false);
        if (!_reader.SkipName("in"))
            throw _reader.Fault($"expected 'in', got {_reader.Current}");
        var items = _expressions.ParseTuple(conditional: false);
        var test = _reader.SkipName("if") ? _expressions.Parse() : null;
        var recursive = _reader.SkipName("recursive");
        _loops++;
        var (body, end) = BodyUntil("else", "endfor");
        _loops--;
        return new For(line, target, items, test, recursive, body, end == "else" ? Body("endfor") : null);
    }

    private LoopJump Jump(int line, Flow flow, string name) =>
        _loops > 0 ? new LoopJump(line, flow) : throw _reader.Fault(line, $"'{name}' outside of a loop");

    private Statement ParseSet(int line)
    {
        var target = ParseTarget(attribute: true);
        if (_reader.SkipOperator("="))
            return new Set(line, target, _expressions.ParseTuple());
        var filter = _reader.SkipOperator("|") ? _expressions.ParseFilterChain() : null;
        return new SetBlock(line, target, filter, Body("endset"));
    }

    private With ParseWith(int line)
    {
        var values = new List<(Target, Expression)>();
        while (_reader.Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
                _reader.ExpectOperator(",");
            var target = new Target(_reader.ExpectName(), null, null);
            _reader.ExpectOperator("=");
            values.Add((target, _expressions.Parse()));
        }

        return new With(line, values, Body("endwith"));
    }

    private MacroDefinition ParseMacro(int line)
    {
        var name = _reader.ExpectName();
        var (signature, body) = MacroBody("endmacro");
        return new MacroDefinition(line, name, signature, body);
    }

    private CallBlock ParseCall(int line)
    {
        var loops = _loops;
        var parameters = _reader.Current.IsOperator("(") ? Parameters() : [];
        if (_expressions.Parse() is not CallExpression call)
            throw _reader.Fault(line, "expected a call of a macro after 'call'");
        var (signature, body) = MacroBody("endcall", parameters);
        _loops = loops;
        return new CallBlock(line, call, signature, body);
    }

    private (MacroSignature Signature, Block Body) MacroBody(string end, List<MacroParameter>? parameters = null)
    {
        var loops = _loops;
        _loops = 0;
        _reader.MacroNames.Push(new HashSet<string>(StringComparer.Ordinal));
        parameters ??= Parameters();
        var body = Body(end);
        if (_reader.Current.Kind == TokenKind.Name)
            _reader.Next();
        var names = _reader.MacroNames.Pop();
        _loops = loops;
        return (new MacroSignature(parameters, names.Contains("caller"), names.Contains("varargs"), names.Contains("kwargs")), body);
    }

    private List<MacroParameter> Parameters()
    {
        _reader.ExpectOperator("(");
        var parameters = new List<MacroParameter>();
        while (!_reader.SkipOperator(")"))
        {
            if (parameters.Count > 0)
                _reader.ExpectOperator(",");
            var name = _reader.ExpectName();
            var value = _reader.SkipOperator("=") ? _expressions.Parse() : null;
            if (value is null && parameters.Count > 0 && parameters[^1].Default is not null)
                throw _reader.Fault("a parameter without a default follows one with a default");
            parameters.Add(new MacroParameter(name, value));
        }

        return parameters;
    }

    private Block ParsePrint(int line)
    {
        var values = new List<Statement>();
        do
            values.Add(new Print(line, _expressions.Parse()));
        while (_reader.SkipOperator(","));
        return new Block(line, values);
    }

    private FilterBlock ParseFilterBlock(int line) => new(line, _expressions.ParseFilterChain(), Body("endfilter"));

    private Block ParseAutoescape(int line)
    {
        if (_expressions.Parse() is not Literal { Value: false })
            throw _reader.Fault(line, "'autoescape' is supported only with the value false");
        return Body("endautoescape");
    }

    private Target ParseTarget(bool attribute)
    {
        var targets = new List<Target>();
        var comma = false;
        do
        {
            if (_reader.Current.IsName("in") || _reader.Current.IsOperator("=") || _reader.Current.IsOperator(")"))
                break;
            targets.Add(SingleTarget(attribute));
            comma = _reader.SkipOperator(",");
        }
        while (comma);
        return targets.Count == 1 && !comma ? targets[0] : new Target("", null, targets);
    }

    private Target SingleTarget(bool attribute)
    {
        if (_reader.SkipOperator("("))
        {
            _reader.Enter();
            var inner = ParseTarget(attribute);
            _reader.Leave();
            _reader.ExpectOperator(")");
            return inner;
        }

        var name = _reader.ExpectName();
        if (name is "true" or "false" or "none" or "True" or "False" or "None")
            throw _reader.Fault($"cannot assign to '{name}'");
        return new Target(name, attribute && _reader.SkipOperator(".") ? _reader.ExpectName() : null, null);
    }
}
