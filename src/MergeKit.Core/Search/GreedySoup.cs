using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search;

/// <summary>When a candidate joins a soup.</summary>
public enum SoupAcceptance
{
    /// <summary>The score must improve, as in the authors' code.</summary>
    Strict,

    /// <summary>The score must not get worse, as in the paper.</summary>
    NonWorse,
}

/// <summary>One step of a greedy soup: the candidate, the score of the mean with it, and whether it stayed.</summary>
public sealed record SoupStep(string Candidate, double Score, bool Accepted);

/// <summary>A greedy soup (Wortsman et al. 2022): models in order of their own held-out scores join a uniform mean while its score improves.</summary>
/// <param name="Order">The models by falling quality; ties in the order given.</param>
/// <param name="Steps">Every candidate after the first.</param>
/// <param name="Ingredients">The models of the soup, in the order they joined.</param>
/// <param name="Score">The soup's score.</param>
public sealed record GreedySoup(IReadOnlyList<string> Order, IReadOnlyList<SoupStep> Steps, IReadOnlyList<string> Ingredients, double Score)
{
    /// <summary>Cooks the soup; <paramref name="evaluate"/> gives the held-out score of the uniform mean of some models. Report on data not used here.
    /// Errors: no models, or two of one name.</summary>
    public static GreedySoup Cook(
        IReadOnlyList<string> names, Func<IReadOnlyList<string>, double> evaluate,
        SoupAcceptance acceptance = SoupAcceptance.Strict, ScoreDirection direction = ScoreDirection.Maximize)
    {
        if (names.Count == 0 || names.Distinct(StringComparer.Ordinal).Count() != names.Count)
            throw new EvaluationException(EvaluationError.InvalidParameter, "a soup needs at least one model, and models of different names");
        var sign = direction == ScoreDirection.Maximize ? 1 : -1;
        var ranked = names.Select(name => (Name: name, Score: evaluate([name]))).OrderByDescending(model => sign * model.Score).ToArray();
        var (ingredients, score) = (new List<string> { ranked[0].Name }, ranked[0].Score);
        var steps = new List<SoupStep>();
        foreach (var (name, _) in ranked.Skip(1))
        {
            var with = evaluate([.. ingredients, name]);
            var gain = sign * (with - score);
            var accepted = gain > 0 || (gain == 0 && acceptance == SoupAcceptance.NonWorse);
            steps.Add(new SoupStep(name, with, accepted));
            if (!accepted)
                continue;
            ingredients.Add(name);
            score = with;
        }

        return new GreedySoup(ranked.Select(model => model.Name).ToArray(), steps, ingredients, score);
    }
}
