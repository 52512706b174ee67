using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Templating.Nodes;

/// <summary>What stands left of an assignment or between <c>for</c> and <c>in</c>: a name, an attribute of a namespace, or several targets.</summary>
internal sealed record Target(string Name, string? Attribute, IReadOnlyList<Target>? Several)
{
    public void Assign(Scope scope, object? value)
    {
        if (Several is not null)
            Unpack(scope, value);
        else if (Attribute is null)
            scope.Set(Name, value);
        else if (scope.TryGet(Name, out var space) && space is TemplateNamespace own)
            own.Values[Attribute] = value;
        else
            throw new TemplateFault($"cannot assign attribute '{Attribute}' on non-namespace object '{Name}'");
    }

    private void Unpack(Scope scope, object? value)
    {
        var items = Python.Iterate(value).Take(Several!.Count + 1).ToList();
        if (items.Count != Several.Count)
            throw new TemplateFault(items.Count < Several.Count
                ? $"not enough values to unpack (expected {Several.Count}, got {items.Count})" : $"too many values to unpack (expected {Several.Count})");
        for (var i = 0; i < items.Count; i++)
            Several[i].Assign(scope, items[i]);
    }
}

/// <summary>One parameter of a macro.</summary>
internal sealed record MacroParameter(string Name, Expression? Default);

/// <summary>The parameters of a macro, and which of the special names its body uses.</summary>
internal sealed record MacroSignature(IReadOnlyList<MacroParameter> Parameters, bool UsesCaller, bool UsesVariable, bool UsesNamed);
