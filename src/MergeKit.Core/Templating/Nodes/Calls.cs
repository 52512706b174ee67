using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

/// <summary>The arguments of a call as written: positions, names, <c>*list</c> and <c>**dict</c>.</summary>
internal sealed record ArgumentList(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named, Expression? Variable, Expression? Keywords)
{
    public static readonly ArgumentList Empty = new([], [], null, null);

    public Arguments Evaluate(Rendering run, Scope scope, KeyValuePair<string, object?>? extra = null)
    {
        var positional = Positional.Select(item => run.Evaluate(item, scope)).ToList();
        if (Variable is not null)
            positional.AddRange(Python.Iterate(run.Evaluate(Variable, scope)));
        if (Named.Count == 0 && Keywords is null && extra is null)
            return new Arguments(positional, Arguments.NoNames);
        var named = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (name, value) in Named)
            named[name] = run.Evaluate(value, scope);
        if (Keywords is not null)
            foreach (var (key, value) in run.Evaluate(Keywords, scope) as PythonDict ?? throw new TemplateFault("the argument after ** must be a mapping"))
                named[PythonString.Text(key)] = value;
        if (extra is { } more)
            named[more.Key] = more.Value;
        return new Arguments(positional, named);
    }
}

internal sealed class CallExpression(int line, Expression target, ArgumentList arguments) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) => Evaluate(run, scope, null);

    public object? Evaluate(Rendering run, Scope scope, Macro? caller) => run.Evaluate(target, scope) switch
    {
        TemplateObject callee => callee.Call(run, arguments.Evaluate(run, scope, caller is null ? null : KeyValuePair.Create("caller", (object?)caller))),
        Undefined undefined => throw undefined.Fault(),
        var other => throw new TemplateFault($"'{Python.TypeName(other)}' object is not callable"),
    };
}

internal sealed class FilterExpression(int line, Expression? target, string name, ArgumentList arguments) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) => Apply(run, scope, run.Evaluate(target!, scope));

    public object? Evaluate(Rendering run, Scope scope, string text) =>
        Apply(run, scope, target is FilterExpression inner ? inner.Evaluate(run, scope, text) : text);

    private object? Apply(Rendering run, Scope scope, object? value) => Library.Filter(name).Invoke(run, value, arguments.Evaluate(run, scope));
}

internal sealed class TestExpression(int line, Expression target, string name, ArgumentList arguments) : Expression(line)
{
    public override object? Evaluate(Rendering run, Scope scope) =>
        Library.Test(name).Invoke(run, run.Evaluate(target, scope), arguments.Evaluate(run, scope));
}
