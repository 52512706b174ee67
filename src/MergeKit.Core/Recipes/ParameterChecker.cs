using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Holds a recipe's parameters against its method's: names, levels and kinds of values. Whether a required one is given
/// depends on the tensors and is for the planner to say.</summary>
public static class ParameterChecker
{
    /// <summary>Notes every parameter, at any level, that the method does not have or that has a value of the wrong kind. Per-model parameters may
    /// stand at any level; others have no effect at a model's own, where they are never looked up. What other methods have is a warning: mergekit
    /// carries such recipes out, and they are many.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="method">Its method.</param>
    /// <param name="problems">Where to note.</param>
    /// <param name="others">Names of other methods' parameters.</param>
    public static void Check(Recipe recipe, MethodDescription method, List<Problem> problems, IReadOnlySet<string>? others = null)
    {
        others ??= new HashSet<string>();
        var found = new List<Problem>();
        CheckLevel(recipe.Parameters, method, others, atModel: false, found);
        foreach (var module in recipe.Modules)
        {
            CheckLevel(module.Parameters, method, others, atModel: false, found);
            foreach (var slice in module.Slices)
            {
                CheckLevel(slice.Parameters, method, others, atModel: false, found);
                foreach (var source in slice.Sources)
                    CheckLevel(source.Parameters, method, others, atModel: true, found);
            }
        }

        problems.AddRange(found.Distinct());
    }

    private static void CheckLevel(Parameters parameters, MethodDescription method, IReadOnlySet<string> others, bool atModel, List<Problem> problems)
    {
        foreach (var (name, value) in parameters.Values)
        {
            var place = parameters.NameLocations.TryGetValue(name, out var location) ? location : value.Location;
            var parameter = method.Parameters.FirstOrDefault(candidate => candidate.Name == name);
            if (parameter is null)
                problems.Add(others.Contains(name)
                    ? Problem.Warning($"the method '{method.Name}' has no parameter '{name}', other methods do: it has no effect, as in mergekit", place)
                    : Problem.Error(Unknown(name, method), place));
            else if (atModel && parameter.Scope == ParameterScope.Global)
                problems.Add(Problem.Warning(
                    $"the parameter '{name}' of '{method.Name}' is one for all models and has no effect at one of them, as in mergekit; give it under the 'parameters' of the recipe or of a slice",
                    place));
            else
                CheckKind(value, parameter, problems);
        }
    }

    private static string Unknown(string name, MethodDescription method)
    {
        var names = method.Parameters.Select(parameter => parameter.Name).ToList();
        var message = $"unknown parameter '{Quoting.Shorten(name)}': the method '{method.Name}' has no such parameter.";
        var hint = name.Length <= 40 ? Spelling.Hint(name, names) : "";
        return hint.Length > 0 ? message + hint
            : names.Count > 0 ? $"{message} It has: {string.Join(", ", names)}."
            : $"{message} It has none.";
    }

    private static void CheckKind(ParameterValue value, ParameterDescription parameter, List<Problem> problems)
    {
        if (value is ConditionalValue conditional)
        {
            foreach (var condition in conditional.Conditions)
                CheckKind(condition.Value, parameter, problems);
            return;
        }

        var (fits, wanted) = (parameter.Type, value) switch
        {
            (ParameterTypes.Boolean, _) => (value is BooleanValue or ScalarValue { Value: 0 or 1 }, "true or false"),
            (ParameterTypes.Integer, _) => (value is ScalarValue scalar && Math.Floor(scalar.Value) == scalar.Value, "a whole number"),
            (ParameterTypes.Number, _) => (value is ScalarValue or GradientValue, "a number or a list of numbers"),
            _ => throw new InvalidOperationException($"parameter '{parameter.Name}' has the unknown type '{parameter.Type}'"),
        };
        if (!fits)
            problems.Add(Problem.Error($"'{parameter.Name}' is {Describe(value)}; wanted {wanted}", value.Location));
    }

    private static string Describe(ParameterValue value) => value switch
    {
        BooleanValue flag => flag.Value ? "true" : "false",
        ScalarValue scalar => $"the number {scalar.Value}",
        _ => "a list of numbers",
    };
}
