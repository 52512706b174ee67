using System.Text;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

internal sealed class Set(int line, Target target, Expression value) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        target.Assign(scope, run.Evaluate(value, scope));
        return Flow.Next;
    }
}

/// <summary><c>{% set x %}...{% endset %}</c>, with an optional filter.</summary>
internal sealed class SetBlock(int line, Target target, FilterExpression? filter, Statement body) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        var text = run.Capture(body, new Scope(scope));
        target.Assign(scope, filter is null ? text : filter.Evaluate(run, scope, text));
        return Flow.Next;
    }
}

/// <summary><c>{% filter name %}...{% endfilter %}</c>.</summary>
internal sealed class FilterBlock(int line, FilterExpression filter, Statement body) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        output.Append(PythonString.Text(filter.Evaluate(run, scope, run.Capture(body, new Scope(scope)))));
        return Flow.Next;
    }
}

internal sealed class With(int line, IReadOnlyList<(Target Target, Expression Value)> values, Statement body) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        var inner = new Scope(scope);
        foreach (var (target, value) in values)
            target.Assign(inner, run.Evaluate(value, scope));
        return run.Execute(body, inner, output);
    }
}

internal sealed class MacroDefinition(int line, string name, MacroSignature signature, Statement body) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        scope.Set(name, new Macro(name, signature, body, scope));
        return Flow.Next;
    }
}

/// <summary><c>{% call(x) macro() %}...{% endcall %}</c>: the body becomes the macro's <c>caller</c>.</summary>
internal sealed class CallBlock(int line, CallExpression call, MacroSignature signature, Statement body) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        output.Append(PythonString.Text(call.Evaluate(run, scope, new Macro("caller", signature, body, scope))));
        return Flow.Next;
    }
}
