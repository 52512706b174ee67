namespace MergeKit.Core.Templating.Runtime;

/// <summary>The variable <c>loop</c> inside a for block.</summary>
internal sealed class LoopState(Rendering run, IReadOnlyList<object?> items, int depth, Func<object?, int, string>? recurse) : TemplateObject
{
    private IReadOnlyList<object?>? _lastSeen;

    public int Index { get; set; }

    public override string TypeName => "LoopContext";

    public override bool IsCallable => recurse is not null;

    public override object? Call(Rendering rendering, Arguments arguments) => recurse is null
        ? throw new TemplateFault("the loop must be marked as recursive to call it")
        : recurse(arguments.Positional.Count == 1 ? arguments.Positional[0] : throw new TemplateFault("loop() takes one argument"), depth + 1);

    public override bool TryGetAttribute(string name, out object? value)
    {
        value = name switch
        {
            "index" => Index + 1L,
            "index0" => (long)Index,
            "revindex" => (long)(items.Count - Index),
            "revindex0" => (long)(items.Count - Index - 1),
            "first" => Index == 0,
            "last" => Index == items.Count - 1,
            "length" => (long)items.Count,
            "depth" => depth + 1L,
            "depth0" => (long)depth,
            "previtem" => Index > 0 ? items[Index - 1] : run.Missing("there is no previous item"),
            "nextitem" => Index + 1 < items.Count ? items[Index + 1] : run.Missing("there is no next item"),
            "cycle" => new BoundBuiltin(new Builtin("cycle", "*", Cycle), this),
            "changed" => new BoundBuiltin(new Builtin("changed", "*", Changed), this),
            _ => this,
        };
        return !ReferenceEquals(value, this);
    }

    private object? Cycle(Call call)
    {
        var values = call.Arguments.Positional;
        return values.Count > 0 ? values[Index % values.Count] : throw new TemplateFault("no items for cycling given");
    }

    private object Changed(Call call)
    {
        var values = call.Arguments.Positional;
        var same = _lastSeen is not null && Python.AreEqual(new PythonTuple(_lastSeen), new PythonTuple(values));
        _lastSeen = values;
        return !same;
    }
}
