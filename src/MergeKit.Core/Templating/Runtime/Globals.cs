namespace MergeKit.Core.Templating.Runtime;

/// <summary>The functions that every template sees.</summary>
internal static class Globals
{
    private static readonly Dictionary<string, Builtin> Functions = Builtin.Table(
        ("range", "start stop? step?", Range),
        ("dict", "*", Dict),
        ("namespace", "*", Namespace),
        ("joiner", "sep?", c => new BoundBuiltin(Joiner(c.Text(0, ", ")), null)),
        ("cycler", "*", c => new Cycler(c.Arguments.Positional)),
        ("raise_exception", "message", c => throw new TemplateFault(PythonString.Text(c[0]), raised: true)),
        ("strftime_now", "format", c => DateFormat.Format(c.Run.Options.Clock(), c.Text(0))));

    public static Scope Scope()
    {
        var scope = new Scope(null);
        foreach (var (name, function) in Functions)
            scope.Set(name, new BoundBuiltin(function, null));
        return scope;
    }

    private static PythonRange Range(Call call)
    {
        var range = call.Has(1) ? new PythonRange(call.Integer(0), call.Integer(1), call.Integer(2, 1)) : new PythonRange(0, call.Integer(0), 1);
        if (range.Step == 0)
            throw new TemplateFault("range() arg 3 must not be zero");
        return range.Length <= PythonRange.MaxLength ? range
            : throw new TemplateFault($"range() of {range.Length} items is larger than the limit of {PythonRange.MaxLength}");
    }

    private static PythonDict Dict(Call call)
    {
        var dict = new PythonDict();
        foreach (var source in call.Arguments.Positional)
        {
            if (source is PythonDict other)
                foreach (var (key, value) in other)
                    dict[key] = value;
            else
                foreach (var pair in Python.Iterate(source))
                    dict[Pair(pair)[0]] = Pair(pair)[1];
        }

        foreach (var (key, value) in call.Arguments.Named)
            dict[key] = value;
        return dict;
    }

    private static IReadOnlyList<object?> Pair(object? pair) =>
        Python.Items(pair) is { Count: 2 } items ? items : throw new TemplateFault("dict() needs pairs of key and value");

    private static TemplateNamespace Namespace(Call call)
    {
        var result = new TemplateNamespace();
        foreach (var (key, value) in Dict(call))
            result.Values[PythonString.Text(key)] = value;
        return result;
    }

    private static Builtin Joiner(string separator)
    {
        var used = false;
        return new Builtin("joiner", "", _ =>
        {
            var text = used ? separator : "";
            used = true;
            return text;
        });
    }

    /// <summary>What <c>cycler(a, b)</c> makes.</summary>
    private sealed class Cycler : TemplateObject
    {
        private readonly IReadOnlyList<object?> _items;
        private int _position;

        public Cycler(IReadOnlyList<object?> items) => _items = items.Count > 0 ? items : throw new TemplateFault("at least one item has to be provided to cycler()");

        public override string TypeName => "Cycler";

        public override bool TryGetAttribute(string name, out object? value)
        {
            value = name switch
            {
                "current" => _items[_position],
                "next" => new BoundBuiltin(new Builtin("next", "", _ => Next()), this),
                "reset" => new BoundBuiltin(new Builtin("reset", "", _ => Reset()), this),
                _ => null,
            };
            return name is "current" or "next" or "reset";
        }

        private object? Next()
        {
            var item = _items[_position];
            _position = (_position + 1) % _items.Count;
            return item;
        }

        private object? Reset()
        {
            _position = 0;
            return null;
        }
    }
}
