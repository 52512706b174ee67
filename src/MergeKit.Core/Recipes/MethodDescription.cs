namespace MergeKit.Core.Recipes;

/// <summary>Whether a parameter may differ between the models of a merge.</summary>
public enum ParameterScope
{
    /// <summary>One value per model; may also be given at slice, module or recipe level for all of them.</summary>
    PerModel,

    /// <summary>One value per output tensor; not looked up at a model's own level.</summary>
    Global,
}

/// <summary>The kinds of values that a parameter takes.</summary>
public static class ParameterTypes
{
    /// <summary>A finite number.</summary>
    public const string Number = "number";

    /// <summary>A whole number; a curve over the layers makes no sense for it.</summary>
    public const string Integer = "integer";

    /// <summary>true or false (1 and 0 are taken for them).</summary>
    public const string Boolean = "boolean";
}

/// <summary>One parameter of a merge method, as recipes, help texts and the schema need to know it.</summary>
/// <param name="Name">As recipes spell it.</param>
/// <param name="Scope">Whether each model has its own.</param>
/// <param name="Type">One of <see cref="ParameterTypes"/>.</param>
/// <param name="Required">Whether a recipe must give it.</param>
/// <param name="Default">A <see cref="double"/>, <see cref="int"/> or <see cref="bool"/>, or null for none.</param>
/// <param name="Summary">What it does, in a sentence.</param>
public sealed record ParameterDescription(string Name, ParameterScope Scope, string Type, bool Required, object? Default, string Summary)
{
    /// <summary>The default as a number: true is 1, false is 0.</summary>
    public double? DefaultNumber => Default switch
    {
        null => null,
        bool flag => flag ? 1 : 0,
        IConvertible number => number.ToDouble(null),
        _ => throw new InvalidOperationException($"the default of parameter '{Name}' is neither a number nor true or false"),
    };
}

/// <summary>A merge method, as recipes and the schema need to know it.</summary>
/// <param name="Name">As recipes spell it.</param>
/// <param name="Summary">What it does, in a sentence.</param>
/// <param name="Parameters">All its parameters.</param>
public sealed record MethodDescription(string Name, string Summary, IReadOnlyList<ParameterDescription> Parameters);
