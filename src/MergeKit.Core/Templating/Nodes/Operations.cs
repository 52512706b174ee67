using System.Text;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

internal sealed class Binary(int line, string op, Expression left, Expression right) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) =>
        Operators.Binary(run, op, run.Evaluate(left, scope), run.Evaluate(right, scope));
}

/// <summary>A sign before a number.</summary>
internal sealed class Sign(int line, bool negative, Expression operand) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        var value = run.Evaluate(operand, scope);
        if (value is Undefined undefined)
            throw undefined.Fault();
        if (!PythonNumber.IsNumber(value))
            throw new TemplateFault($"bad operand type for unary {(negative ? '-' : '+')}: '{Python.TypeName(value)}'");
        return negative ? PythonNumber.Negate(value) : value is bool flag ? flag ? 1L : 0L : value;
    }
}

/// <summary>The operator <c>~</c>: everything as text, joined.</summary>
internal sealed class Concatenation(int line, IReadOnlyList<Expression> parts) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        var text = new StringBuilder();
        foreach (var part in parts)
        {
            text.Append(PythonString.Text(run.Evaluate(part, scope)));
            Python.CheckLength(text.Length);
        }

        run.Charge(text.Length);
        return text.ToString();
    }
}

/// <summary>One comparison or a chain of them, as <c>0 &lt; x &lt;= 9</c>.</summary>
internal sealed class Comparison(int line, Expression first, IReadOnlyList<(string Op, Expression Operand)> rest) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        var left = run.Evaluate(first, scope);
        foreach (var (op, operand) in rest)
        {
            var right = run.Evaluate(operand, scope);
            if (!Operators.Comparison(op, left, right))
                return false;
            left = right;
        }

        return true;
    }
}

internal sealed class Not(int line, Expression operand) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) => !Python.Truth(run.Evaluate(operand, scope));
}

/// <summary><c>and</c>, <c>or</c>: the value that decided.</summary>
internal sealed class Logical(int line, bool isAnd, Expression left, Expression right) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        var value = run.Evaluate(left, scope);
        return Python.Truth(value) == isAnd ? run.Evaluate(right, scope) : value;
    }
}

/// <summary><c>a if test else b</c>.</summary>
internal sealed class Conditional(int line, Expression test, Expression then, Expression? otherwise) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        if (Python.Truth(run.Evaluate(test, scope)))
            return run.Evaluate(then, scope);
        return otherwise is not null ? run.Evaluate(otherwise, scope)
            : new Undefined($"the inline if-expression on line {Line} evaluated to false and no else section was defined", strict: false);
    }
}
