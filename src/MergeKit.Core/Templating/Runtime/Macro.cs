using MergeKit.Core.Templating.Nodes;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>A macro, or the body of a call block, with the scope it was made in.</summary>
internal sealed class Macro(string name, MacroSignature signature, Statement body, Scope closure) : TemplateObject
{
    public override string TypeName => "Macro";

    public override bool IsCallable => true;

    public override bool TryGetAttribute(string attribute, out object? value)
    {
        value = attribute switch
        {
            "name" => name,
            "arguments" => new PythonTuple(signature.Parameters.Select(parameter => (object?)parameter.Name).ToList()),
            "catch_kwargs" => signature.UsesNamed,
            "catch_varargs" => signature.UsesVariable,
            "caller" => signature.UsesCaller,
            _ => null,
        };
        return attribute is "name" or "arguments" or "catch_kwargs" or "catch_varargs" or "caller";
    }

    public override object? Call(Rendering run, Arguments arguments)
    {
        var scope = new Scope(closure);
        var given = new Dictionary<string, object?>(arguments.Named, StringComparer.Ordinal);
        for (var i = 0; i < signature.Parameters.Count; i++)
        {
            var parameter = signature.Parameters[i];
            if (i < arguments.Positional.Count)
                scope.Set(parameter.Name, arguments.Positional[i]);
            else if (given.Remove(parameter.Name, out var value))
                scope.Set(parameter.Name, value);
            else
                scope.Set(parameter.Name, parameter.Default is { } otherwise ? run.Evaluate(otherwise, scope)
                    : run.Missing($"parameter '{parameter.Name}' was not provided"));
        }

        var caller = given.Remove("caller", out var call) ? call : run.Missing("no caller defined");
        if (signature.UsesCaller)
            scope.Set("caller", caller);
        var rest = arguments.Positional.Skip(signature.Parameters.Count).ToList();
        if (rest.Count > 0 && !signature.UsesVariable)
            throw new TemplateFault($"macro '{name}' takes not more than {signature.Parameters.Count} argument(s)");
        if (given.Count > 0 && !signature.UsesNamed)
            throw new TemplateFault($"macro '{name}' takes no keyword argument '{given.Keys.First()}'");
        if (signature.UsesVariable)
            scope.Set("varargs", new PythonTuple(rest));
        if (signature.UsesNamed)
            scope.Set("kwargs", new PythonDict(given.Select(pair => KeyValuePair.Create((object?)pair.Key, pair.Value))));
        return run.Capture(body, scope);
    }
}
