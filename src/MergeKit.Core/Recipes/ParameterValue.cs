using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>A parameter's value as written: one number, true or false, a curve over the layers, or a list of conditions on tensor names.</summary>
/// <param name="Location">Where the value stands.</param>
public abstract record ParameterValue(SourceLocation Location)
{
    /// <summary>The value for one tensor.</summary>
    /// <param name="tensorName">The tensor's name, which filters look into: the source's for per-model parameters, the output's for others.</param>
    /// <param name="t">Position in the slice, 0 for the first layer (and embedding, final norm, head) to 1 for the last.</param>
    /// <returns>The number; true is 1 and false is 0; null when no condition matches.</returns>
    public abstract double? Resolve(string tensorName, double t);
}

/// <summary>One number for all tensors.</summary>
public sealed record ScalarValue(double Value, SourceLocation Location) : ParameterValue(Location)
{
    /// <inheritdoc/>
    public override double? Resolve(string tensorName, double t) => Value;
}

/// <summary>True or false for all tensors.</summary>
public sealed record BooleanValue(bool Value, SourceLocation Location) : ParameterValue(Location)
{
    /// <inheritdoc/>
    public override double? Resolve(string tensorName, double t) => Value ? 1 : 0;
}

/// <summary>A piecewise linear curve over the layers of a slice.
/// With n points and s = t (n - 1), i = floor(s), j = min(i + 1, n - 1): value = (1 - (s - i)) v[i] + (s - i) v[j].</summary>
/// <param name="Points">At least one finite number, equally spaced from the first layer to the last.</param>
/// <param name="Location">Where the list stands.</param>
public sealed record GradientValue(IReadOnlyList<double> Points, SourceLocation Location) : ParameterValue(Location)
{
    /// <inheritdoc/>
    public override double? Resolve(string tensorName, double t)
    {
        var last = Points.Count - 1;
        var position = Math.Clamp(t, 0, 1) * last;
        var i = (int)position;
        var j = Math.Min(i + 1, last);
        var fraction = position - i;
        return ((1 - fraction) * Points[i]) + (fraction * Points[j]);
    }
}

/// <summary>The first condition that matches a tensor's name decides, even if its own value then yields nothing.</summary>
/// <param name="Conditions">At least one.</param>
/// <param name="Location">Where the list stands.</param>
public sealed record ConditionalValue(IReadOnlyList<Condition> Conditions, SourceLocation Location) : ParameterValue(Location)
{
    /// <inheritdoc/>
    public override double? Resolve(string tensorName, double t)
    {
        foreach (var condition in Conditions)
            if (condition.Matches(tensorName))
                return condition.Value.Resolve(tensorName, t);
        return null;
    }
}

/// <summary>A value for the tensors whose name contains <paramref name="Filter"/>.</summary>
/// <param name="Filter">A plain substring; null or <c>*</c> matches every tensor.</param>
/// <param name="Value">What those tensors get.</param>
public sealed record Condition(string? Filter, ParameterValue Value)
{
    /// <summary>Whether the condition applies to a tensor.</summary>
    public bool Matches(string tensorName) => Filter is null or "*" || tensorName.Contains(Filter, StringComparison.Ordinal);
}
