using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Ensembles;

/// <summary>A recipe's rule as a combiner.</summary>
public static class CombinerFactory
{
    /// <summary>Makes the combiner.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="weights">One per place; a member with dropout has several places.</param>
    /// <exception cref="EnsembleException">A parameter is outside its range.</exception>
    public static ICombiner Create(EnsembleRecipe recipe, IReadOnlyList<double> weights)
    {
        double? Given(string name) => recipe.Parameters.TryGetValue(name, out var value) ? value : null;
        return recipe.Rule.Name switch
        {
            "linear" => new LinearCombiner(weights),
            "log_linear" => new LogLinearCombiner(weights, Given("negative_floor")),
            "posterior" => new PosteriorCombiner(weights, Given("temper") ?? 1, Given("share") ?? 0),
            "gated" => new GatedCombiner(recipe.Gate!.Weights, recipe.Gate.Bias),
            "perplexity" when recipe.Variant == "greedy" => new PackCombiner(weights.Count, (int)(Given("steps") ?? 20)),
            "perplexity" => new PerplexityCombiner(weights.Count, Given("tau") ?? 1),
            "dexperts" => new DExpertsCombiner(Given("alpha") ?? 1, Given("base_top_p")),
            "domain_differential" => new DomainDifferentialCombiner(Given("beta") ?? 0.5),
            "contrastive" => new ContrastiveCombiner(new ContrastiveOptions
            {
                Variant = recipe.Variant == "weighted" ? ContrastiveVariant.Weighted : ContrastiveVariant.Difference,
                Alpha = Given("alpha") ?? 0.1,
                Beta = Given("beta") ?? 0.5,
                AmateurTemperature = Given("amateur_temperature") ?? 1,
                NegativeFloor = Given("negative_floor"),
            }),
            "context_aware" => new ContextAwareCombiner(Given("alpha") ?? 0.5),
            var rule => throw new InvalidOperationException($"the rule '{rule}' has no combiner"),
        };
    }

    /// <summary>The weights of the places: each member's own (1, or 1 / members for log_linear, where none is given), shared out evenly over its passes.</summary>
    public static IReadOnlyList<double> Weights(EnsembleRecipe recipe)
    {
        var otherwise = recipe.Rule.TakesNegativeWeights ? 1.0 / recipe.Members.Count : 1;
        return [.. recipe.Members.SelectMany(member => Enumerable.Repeat((member.Weight ?? otherwise) / (member.Dropout?.Passes ?? 1), member.Dropout?.Passes ?? 1))];
    }
}
