using System.Globalization;
using System.Numerics;
using MergeKit.Core.Templating.Nodes;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Syntax;

/// <summary>Reads expressions with Jinja2's order of operators: if, or, and, not, comparisons, + -, ~, * / // %, **, signs, postfix, filters.</summary>
internal sealed class ExpressionParser(TokenReader reader)
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>One expression; <paramref name="conditional"/> says whether <c>a if b else c</c> may stand here.</summary>
    public Expression Parse(bool conditional = true)
    {
        reader.Enter();
        var result = conditional ? ParseConditional() : ParseOr();
        reader.Leave();
        return result;
    }

    /// <summary>One expression, or several with commas between, which are a tuple.</summary>
    public Expression ParseTuple(bool conditional = true)
    {
        var line = reader.Line;
        var first = Parse(conditional);
        if (!reader.Current.IsOperator(","))
            return first;
        var items = new List<Expression> { first };
        while (reader.SkipOperator(",") && !AtTupleEnd())
            items.Add(Parse(conditional));
        return new TupleLiteral(line, items);
    }

    /// <summary>Filters applied to nothing yet: <c>upper | replace("a", "b")</c>.</summary>
    public FilterExpression ParseFilterChain()
    {
        var filter = ParseFilter(null);
        while (reader.SkipOperator("|"))
            filter = ParseFilter(filter);
        return filter;
    }

    private bool AtTupleEnd() => reader.Current.Kind is TokenKind.BlockEnd or TokenKind.VariableEnd
        || reader.Current.IsOperator(")") || reader.Current.IsOperator("=") || reader.Current.IsName("in") || reader.Current.IsOperator("]");

    private Expression ParseConditional()
    {
        var line = reader.Line;
        var value = ParseOr();
        while (reader.SkipName("if"))
        {
            reader.Conditions++;
            var test = ParseOr();
            var otherwise = reader.SkipName("else") ? Parse() : null;
            reader.Conditions--;
            value = new Conditional(line, test, value, otherwise);
        }

        return value;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (reader.Line is var line && reader.SkipName("or"))
            left = new Logical(line, false, left, ParseAnd());
        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (reader.Line is var line && reader.SkipName("and"))
            left = new Logical(line, true, left, ParseNot());
        return left;
    }

    private Expression ParseNot()
    {
        var line = reader.Line;
        if (!reader.Current.IsName("not"))
            return ParseComparison();
        reader.Next();
        reader.Enter();
        var operand = ParseNot();
        reader.Leave();
        return new Not(line, operand);
    }

    private Expression ParseComparison()
    {
        var line = reader.Line;
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (ComparisonOperator() is { } op)
            rest.Add((op, ParseSum()));
        return rest.Count == 0 ? first : new Comparison(line, first, rest);
    }

    private string? ComparisonOperator()
    {
        if (reader.Current.Kind == TokenKind.Operator && Comparisons.Contains(reader.Current.Text))
            return reader.Next().Text;
        if (reader.SkipName("in"))
            return "in";
        if (!reader.Current.IsName("not") || !reader.Ahead.IsName("in"))
            return null;
        reader.Next();
        reader.Next();
        return "notin";
    }

    private Expression ParseSum()
    {
        var left = ParseConcatenation();
        while (reader.Current.IsOperator("+") || reader.Current.IsOperator("-"))
        {
            var op = reader.Next();
            left = new Binary(op.Line, op.Text, left, ParseConcatenation());
        }

        return left;
    }

    private Expression ParseConcatenation()
    {
        var line = reader.Line;
        var parts = new List<Expression> { ParseProduct() };
        while (reader.SkipOperator("~"))
            parts.Add(ParseProduct());
        return parts.Count == 1 ? parts[0] : new Concatenation(line, parts);
    }

    private Expression ParseProduct()
    {
        var left = ParsePower();
        while (reader.Current.Kind == TokenKind.Operator && reader.Current.Text is "*" or "/" or "//" or "%")
        {
            var op = reader.Next();
            left = new Binary(op.Line, op.Text, left, ParsePower());
        }

        return left;
    }

    private Expression ParsePower()
    {
        var left = ParseUnary(withFilter: true);
        while (reader.Line is var line && reader.SkipOperator("**"))
            left = new Binary(line, "**", left, ParseUnary(withFilter: true));
        return left;
    }

    private Expression ParseUnary(bool withFilter)
    {
        var line = reader.Line;
        Expression value;
        if (reader.Current.IsOperator("-") || reader.Current.IsOperator("+"))
        {
            var negative = reader.Next().Text == "-";
            reader.Enter();
            value = new Sign(line, negative, ParseUnary(withFilter: false));
            reader.Leave();
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParsePostfix(value);
        return withFilter ? ParseFilters(value) : value;
    }

    private Expression ParsePrimary()
    {
        var token = reader.Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                reader.Next();
                return NameOrConstant(token);
            case TokenKind.String:
                var text = reader.Next().Text;
                while (reader.Current.Kind == TokenKind.String)
                    text += reader.Next().Text;
                return new Literal(token.Line, text);
            case TokenKind.Integer:
                reader.Next();
                return new Literal(token.Line, PythonNumber.ParseInteger(token.Text, 0) ?? throw reader.Fault(token.Line, $"an integer of {token.Text.Length} digits is too long"));
            case TokenKind.Float:
                reader.Next();
                return new Literal(token.Line, double.Parse(token.Text.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
            case TokenKind.Operator when token.Text == "(":
                return Bracketed(token.Line, ")", items => new TupleLiteral(token.Line, items), single: true);
            case TokenKind.Operator when token.Text == "[":
                return Bracketed(token.Line, "]", items => new ListLiteral(token.Line, items), single: false);
            case TokenKind.Operator when token.Text == "{":
                return ParseDict(token.Line);
            default:
                throw reader.Fault($"expected an expression, got {token}");
        }
    }

    private Expression NameOrConstant(Token token)
    {
        switch (token.Text)
        {
            case "true" or "True":
                return new Literal(token.Line, true);
            case "false" or "False":
                return new Literal(token.Line, false);
            case "none" or "None":
                return new Literal(token.Line, null);
        }

        foreach (var names in reader.MacroNames)
            names.Add(token.Text);
        return new Name(token.Line, token.Text);
    }

    private Expression Bracketed(int line, string close, Func<List<Expression>, Expression> make, bool single)
    {
        reader.Next();
        var items = new List<Expression>();
        var comma = false;
        while (!reader.SkipOperator(close))
        {
            if (items.Count > 0 && !comma)
                throw reader.Fault($"expected ',' or '{close}', got {reader.Current}");
            items.Add(Parse());
            comma = reader.SkipOperator(",");
        }

        return single && items.Count == 1 && !comma ? items[0] : make(items);
    }

    private DictLiteral ParseDict(int line)
    {
        reader.Next();
        var pairs = new List<(Expression, Expression)>();
        while (!reader.SkipOperator("}"))
        {
            if (pairs.Count > 0)
            {
                reader.ExpectOperator(",");
                if (reader.SkipOperator("}"))
                    break;
            }

            var key = Parse();
            reader.ExpectOperator(":");
            pairs.Add((key, Parse()));
        }

        return new DictLiteral(line, pairs);
    }

    private Expression ParsePostfix(Expression value)
    {
        for (var count = 0; ; count++)
        {
            if (count > 500)
                throw reader.Fault("more than 500 attributes, items and calls in a row");
            var line = reader.Line;
            if (reader.SkipOperator("."))
                value = ParseMember(line, value);
            else if (reader.SkipOperator("["))
                value = ParseSubscript(line, value);
            else if (reader.Current.IsOperator("("))
                value = new CallExpression(line, value, ParseArguments());
            else
                return value;
        }
    }

    private Expression ParseMember(int line, Expression value)
    {
        var token = reader.Next();
        return token.Kind switch
        {
            TokenKind.Name => new GetAttribute(line, value, token.Text),
            TokenKind.Integer => new GetItem(line, value, new Literal(line, PythonNumber.ParseInteger(token.Text, 0))),
            _ => throw reader.Fault(token.Line, $"expected a name or number after '.', got {token}"),
        };
    }

    private Expression ParseSubscript(int line, Expression value)
    {
        Expression? start = reader.Current.IsOperator(":") ? null : ParseTuple();
        if (start is not null && reader.SkipOperator("]"))
            return new GetItem(line, value, start);
        reader.ExpectOperator(":");
        var stop = AtSliceEnd() ? null : Parse();
        var step = reader.SkipOperator(":") && !AtSliceEnd() ? Parse() : null;
        reader.ExpectOperator("]");
        return new GetSlice(line, value, start, stop, step);
    }

    private bool AtSliceEnd() => reader.Current.IsOperator(":") || reader.Current.IsOperator("]");

    private Expression ParseFilters(Expression value)
    {
        for (var count = 0; ; count++)
        {
            if (count > 500)
                throw reader.Fault("more than 500 filters and tests in a row");
            var line = reader.Line;
            if (reader.SkipOperator("|"))
                value = ParseFilter(value);
            else if (reader.SkipName("is"))
                value = ParseTest(line, value);
            else if (reader.Current.IsOperator("("))
                value = new CallExpression(line, value, ParseArguments());
            else
                return value;
        }
    }

    private FilterExpression ParseFilter(Expression? value)
    {
        var line = reader.Line;
        var name = DottedName();
        Known(() => Library.Filter(name), line);
        return new FilterExpression(line, value, name, reader.Current.IsOperator("(") ? ParseArguments() : ArgumentList.Empty);
    }

    private Expression ParseTest(int line, Expression value)
    {
        var negated = reader.SkipName("not");
        var name = DottedName();
        Known(() => Library.Test(name), line);
        var arguments = ArgumentList.Empty;
        var next = reader.Current;
        if (next.IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (next.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float || next.IsOperator("[") || next.IsOperator("{")
            || (next.Kind == TokenKind.Name && next.Text is not ("else" or "or" or "and" or "if" or "in" or "not" or "recursive")))
        {
            if (next.IsName("is"))
                throw reader.Fault("tests cannot be chained with 'is'");
            arguments = new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null);
        }

        Expression test = new TestExpression(line, value, name, arguments);
        return negated ? new Not(line, test) : test;
    }

    private string DottedName()
    {
        var name = reader.ExpectName();
        while (reader.SkipOperator("."))
            name += "." + reader.ExpectName();
        return name;
    }

    private void Known(Func<Builtin> find, int line)
    {
        if (reader.Conditions > 0)
            return;
        try
        {
            find();
        }
        catch (TemplateFault fault)
        {
            throw reader.Fault(line, fault.Message);
        }
    }

    /// <summary>The arguments in parentheses that begin at the current token.</summary>
    public ArgumentList ParseArguments()
    {
        reader.ExpectOperator("(");
        var (positional, named) = (new List<Expression>(), new List<(string, Expression)>());
        Expression? variable = null, keywords = null;
        for (var first = true; !reader.SkipOperator(")"); first = false)
        {
            if (!first)
            {
                reader.ExpectOperator(",");
                if (reader.SkipOperator(")"))
                    break;
            }

            if (reader.SkipOperator("*"))
                variable = Parse();
            else if (reader.SkipOperator("**"))
                keywords = Parse();
            else if (reader.Current.Kind == TokenKind.Name && reader.Ahead.IsOperator("="))
                named.Add(NamedArgument());
            else if (named.Count > 0 || keywords is not null)
                throw reader.Fault("a positional argument follows a keyword argument");
            else
                positional.Add(Parse());
        }

        return new ArgumentList(positional, named, variable, keywords);
    }

    private (string, Expression) NamedArgument()
    {
        var name = reader.ExpectName();
        reader.ExpectOperator("=");
        return (name, Parse());
    }
}
