using System.Runtime.CompilerServices;
using System.Text;
using MergeKit.Core.Templating.Nodes;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>What a statement asks of the loop around it.</summary>
internal enum Flow
{
    Next,
    Break,
    Continue,
}

/// <summary>One rendering of a template: its settings, the line it is at, and the work it may still do.</summary>
internal sealed class Rendering(TemplateOptions options)
{
    private long _steps;
    private int _depth;

    public TemplateOptions Options => options;

    public int Line { get; set; } = 1;

    public Undefined Missing(string reason) => new(reason, options.StrictUndefined);

    /// <summary>Counts work done; too much is an error.</summary>
    public void Charge(long steps)
    {
        _steps += steps;
        if (_steps > options.MaxSteps)
            throw new TemplateFault($"the template does more than {options.MaxSteps} steps of work");
    }

    public object? Evaluate(Expression expression, Scope scope)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        Charge(1);
        var line = Line;
        Line = expression.Line;
        var value = expression.Evaluate(this, scope);
        Line = line;
        return value;
    }

    public Flow Execute(Statement statement, Scope scope, StringBuilder output)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        Charge(1);
        Line = statement.Line;
        var flow = statement.Execute(this, scope, output);
        if (output.Length > options.MaxOutput)
            throw new TemplateFault($"the template writes more than {options.MaxOutput} characters");
        return flow;
    }

    /// <summary>Runs a body in a text of its own.</summary>
    public string Capture(Statement body, Scope scope)
    {
        if (++_depth > options.MaxDepth)
            throw new TemplateFault($"macros and recursive loops nest deeper than {options.MaxDepth}");
        var text = new StringBuilder();
        var line = Line;
        Execute(body, scope, text);
        (Line, _depth) = (line, _depth - 1);
        Charge(text.Length);
        return text.ToString();
    }
}

/// <summary>Names and their values; what is not here is looked up outside.</summary>
internal sealed class Scope(Scope? outer)
{
    private readonly Dictionary<string, object?> _values = new(StringComparer.Ordinal);

    public void Set(string name, object? value) => _values[name] = value;

    public bool TryGet(string name, out object? value)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
            if (scope._values.TryGetValue(name, out value))
                return true;
        value = null;
        return false;
    }

    private Scope? Outer => outer;
}
