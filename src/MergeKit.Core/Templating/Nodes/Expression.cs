using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

/// <summary>A part of a template that has a value. Evaluate through <see cref="Rendering.Evaluate"/>, which counts and keeps the line.</summary>
internal abstract class Expression(int line)
{
    public int Line => line;

    public abstract object? Evaluate(Rendering run, Scope scope);
}

internal sealed class Literal(int line, object? value) : Expression(line)
{
    public object? Value => value;

    public override object? Evaluate(Rendering run, Scope scope) => value;
}

internal sealed class Name(int line, string name) : Expression(line)
{
    public string Text => name;

    public override object? Evaluate(Rendering run, Scope scope) =>
        scope.TryGet(name, out var value) ? value : run.Missing($"'{name}' is undefined");
}

internal sealed class ListLiteral(int line, IReadOnlyList<Expression> items) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) => items.Select(item => run.Evaluate(item, scope)).ToList();
}

internal sealed class TupleLiteral(int line, IReadOnlyList<Expression> items) : Expression(line)
{
    public IReadOnlyList<Expression> Items => items;

    public override object? Evaluate(Rendering run, Scope scope) => new PythonTuple(items.Select(item => run.Evaluate(item, scope)).ToList());
}

internal sealed class DictLiteral(int line, IReadOnlyList<(Expression Key, Expression Value)> pairs) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        var dict = new PythonDict();
        foreach (var (key, value) in pairs)
            dict[run.Evaluate(key, scope)] = run.Evaluate(value, scope);
        return dict;
    }
}

internal sealed class GetAttribute(int line, Expression target, string name) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) => Attributes.Attribute(run, run.Evaluate(target, scope), name);
}

internal sealed class GetItem(int line, Expression target, Expression key) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) =>
        Attributes.Item(run, run.Evaluate(target, scope), run.Evaluate(key, scope));
}

internal sealed class GetSlice(int line, Expression target, Expression? start, Expression? stop, Expression? step) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope)
    {
        return Attributes.Slice(run, run.Evaluate(target, scope), Bound(start), Bound(stop), Bound(step));

        object? Bound(Expression? bound) => bound is null ? null : run.Evaluate(bound, scope);
    }
}
