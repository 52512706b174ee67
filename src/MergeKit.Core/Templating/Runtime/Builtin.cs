using System.Numerics;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>The arguments of a call as the template gave them.</summary>
internal sealed record Arguments(IReadOnlyList<object?> Positional, IReadOnlyDictionary<string, object?> Named)
{
    public static readonly IReadOnlyDictionary<string, object?> NoNames = new Dictionary<string, object?>();

    public static readonly Arguments None = new([], NoNames);
}

/// <summary>A function, method, filter or test written in C#.</summary>
/// <param name="name">The name in templates.</param>
/// <param name="signature">Parameter names separated by spaces; "?" marks an optional one. "*" takes the arguments as they are.</param>
/// <param name="body">What it does.</param>
internal sealed class Builtin(string name, string signature, Func<Call, object?> body)
{
    private readonly string[] _parameters = signature.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(p => p.TrimEnd('?')).ToArray();
    private readonly int _required = signature.Split(' ', StringSplitOptions.RemoveEmptyEntries).Count(p => !p.EndsWith('?'));

    public string Name => name;

    public static Dictionary<string, Builtin> Table(params (string Names, string Signature, Func<Call, object?> Body)[] entries) =>
        entries.SelectMany(entry => entry.Names.Split(' ').Select(name => new Builtin(name, entry.Signature, entry.Body)))
            .ToDictionary(builtin => builtin.Name, StringComparer.Ordinal);

    public object? Invoke(Rendering run, object? self, Arguments arguments)
    {
        var call = new Call(name, run, self, signature == "*" ? [] : Bind(arguments), arguments);
        var result = body(call);
        run.Charge(result switch { string text => text.Length, List<object?> list => list.Count, _ => 0 });
        return result;
    }

    private object?[] Bind(Arguments arguments)
    {
        if (arguments.Positional.Count > _parameters.Length)
            throw new TemplateFault($"{name}() takes at most {_parameters.Length} arguments ({arguments.Positional.Count} given)");
        var values = new object?[_parameters.Length];
        Array.Fill(values, Call.Missing);
        for (var i = 0; i < arguments.Positional.Count; i++)
            values[i] = arguments.Positional[i];
        foreach (var (key, value) in arguments.Named)
        {
            var index = Array.IndexOf(_parameters, key);
            if (index < 0)
                throw new TemplateFault($"{name}() got an unexpected keyword argument '{key}'");
            if (!ReferenceEquals(values[index], Call.Missing))
                throw new TemplateFault($"{name}() got multiple values for argument '{key}'");
            values[index] = value;
        }

        for (var i = 0; i < _required; i++)
            if (ReferenceEquals(values[i], Call.Missing))
                throw new TemplateFault($"{name}() needs the argument '{_parameters[i]}'");
        return values;
    }
}

/// <summary>A method together with the value it was taken from, or a global function.</summary>
internal sealed class BoundBuiltin(Builtin builtin, object? self) : TemplateObject
{
    public override string TypeName => "builtin_function_or_method";

    public override bool IsCallable => true;

    public override object? Call(Rendering run, Arguments arguments) => builtin.Invoke(run, self, arguments);
}

/// <summary>One call of a <see cref="Builtin"/>: the value it works on and its bound arguments.</summary>
internal sealed class Call(string name, Rendering run, object? self, object?[] values, Arguments arguments)
{
    public static readonly object Missing = new();

    public Rendering Run => run;

    public object? Self => self;

    public Arguments Arguments => arguments;

    /// <summary>The value as text, whatever it is.</summary>
    public string SelfText => PythonString.Text(self);

    public bool Has(int index) => !ReferenceEquals(values[index], Missing);

    public object? this[int index] => Has(index) ? values[index] : null;

    public object? Value(int index, object? otherwise) => Has(index) ? values[index] : otherwise;

    public string Text(int index, string otherwise = "") => !Has(index) ? otherwise : values[index] as string ?? throw Wrong(index, "a string");

    /// <summary>A string, or null when it is left out or None.</summary>
    public string? OptionalText(int index) => this[index] is null ? null : Text(index);

    public long Integer(int index, long otherwise = 0)
    {
        if (!Has(index))
            return otherwise;
        if (!PythonNumber.IsInteger(values[index]))
            throw Wrong(index, "an integer");
        return (long)BigInteger.Clamp(PythonNumber.ToInteger(values[index]), long.MinValue / 4, long.MaxValue / 4);
    }

    public bool Flag(int index, bool otherwise = false) => Has(index) ? Python.Truth(values[index]) : otherwise;

    /// <summary>A size that is about to be allocated.</summary>
    public int Size(int index, long otherwise = 0)
    {
        var size = Math.Max(0, Integer(index, otherwise));
        Python.CheckLength(size);
        return (int)size;
    }

    private TemplateFault Wrong(int index, string wanted) =>
        new($"{name}(): argument {index + 1} is of type '{Python.TypeName(values[index])}', expected {wanted}");
}
