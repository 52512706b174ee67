using System.Text;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

/// <summary>A part of a template that writes or changes something. Execute through <see cref="Rendering.Execute"/>.</summary>
internal abstract class Statement(int line)
{
    public int Line => line;

    public abstract Flow Execute(Rendering run, Scope scope, StringBuilder output);
}

internal sealed class Block(int line, IReadOnlyList<Statement> statements) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        foreach (var statement in statements)
            if (run.Execute(statement, scope, output) is not Flow.Next and var flow)
                return flow;
        return Flow.Next;
    }
}

internal sealed class TextOutput(int line, string text) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        output.Append(text);
        return Flow.Next;
    }
}

internal sealed class Print(int line, Expression value) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        output.Append(PythonString.Text(run.Evaluate(value, scope)));
        return Flow.Next;
    }
}

internal sealed class If(int line, IReadOnlyList<(Expression Test, Statement Body)> branches, Statement? otherwise) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        foreach (var (test, body) in branches)
            if (Python.Truth(run.Evaluate(test, scope)))
                return run.Execute(body, scope, output);
        return otherwise is null ? Flow.Next : run.Execute(otherwise, scope, output);
    }
}

internal sealed class LoopJump(int line, Flow flow) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output) => flow;
}

internal sealed class For(int line, Target target, Expression items, Expression? test, bool recursive, Statement body, Statement? otherwise) : Statement(line)
{
    public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
    {
        Walk(run, scope, output, run.Evaluate(items, scope), 0);
        return Flow.Next;
    }

    private void Walk(Rendering run, Scope scope, StringBuilder output, object? value, int depth)
    {
        var list = Python.Iterate(value).Where(item => Accepts(run, scope, item)).ToList();
        var loop = new LoopState(run, list, depth, recursive ? Recurse : null);
        foreach (var item in list)
        {
            var inner = new Scope(scope);
            inner.Set("loop", loop);
            target.Assign(inner, item);
            if (run.Execute(body, inner, output) == Flow.Break)
                break;
            loop.Index++;
        }

        if (list.Count == 0 && otherwise is not null)
            run.Execute(otherwise, new Scope(scope), output);

        string Recurse(object? children, int level) => run.Capture(new Recursion(Line, text => Walk(run, scope, text, children, level)), scope);
    }

    private bool Accepts(Rendering run, Scope scope, object? item)
    {
        run.Charge(1);
        if (test is null)
            return true;
        var inner = new Scope(scope);
        target.Assign(inner, item);
        return Python.Truth(run.Evaluate(test, inner));
    }

    private sealed class Recursion(int line, Action<StringBuilder> walk) : Statement(line)
    {
        public override Flow Execute(Rendering run, Scope scope, StringBuilder output)
        {
            walk(output);
            return Flow.Next;
        }
    }
}
