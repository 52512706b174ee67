using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Inference.Ensembles;

/// <summary>Learns the weights of an ensemble whose document has <c>learn</c>, over its opened members.</summary>
public static class WeightLearning
{
    /// <summary>Learns.</summary>
    /// <param name="recipe">The ensemble; it has <c>learn</c>.</param>
    /// <param name="members">Its models, in order.</param>
    /// <param name="data">Where <c>learn.data</c> lies.</param>
    /// <exception cref="InputException">The members do not share one vocabulary, the rule has no weights, or the data cannot be used; the key is named.</exception>
    public static LearnedWeights Learn(EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, string data)
    {
        Check(recipe, members);
        var settings = recipe.Learn!;
        var source = new ExampleSource(data, settings.Prompt, settings.Target, settings.Examples);
        var (encoder, size) = (members[0].Encoder, members.Min(member => member.Model.VocabularySize));
        var answers = AnswerReader.Read(source, encoder, members.Min(member => member.Model.MaxLength));
        var classes = recipe.Rule.Name == "gated" ? TokenClasses.Of(encoder, size) : [];
        return EnsembleLearner.Learn(
            recipe.Rule.Name, [.. members.Select(member => member.Model)], answers, size, settings, classes.Count > 0 ? id => classes[id] : null);
    }

    /// <summary>The recipe with what was learned in place of <c>learn</c>. Where a gate is no better than constant weights, the mixture is linear.</summary>
    public static EnsembleRecipe Apply(EnsembleRecipe recipe, LearnedWeights learned)
    {
        if (learned.Gate is { Kept: true } gate)
            return recipe with { Learn = null, Gate = new GateSpec(gate.Weights, gate.Bias), Members = [.. recipe.Members.Select(member => member with { Weight = null })] };
        return recipe with
        {
            Learn = null,
            Rule = recipe.Rule.Name == "gated" ? EnsembleRules.Find("linear")! : recipe.Rule,
            Members = [.. recipe.Members.Zip(learned.Weights, (member, weight) => member with { Weight = weight })],
        };
    }

    /// <summary>What was learned, in a sentence.</summary>
    public static Problem Note(EnsembleRecipe recipe, LearnedWeights learned) => Problem.Note(
        FormattableString.Invariant($"weights learned from {learned.Examples} answers: ")
        + string.Join(", ", learned.Members.Select(member => FormattableString.Invariant($"{member.Name} {member.Weight:0.####}")))
        + FormattableString.Invariant($"; NLL per token {learned.CrossValidatedNll:0.####} cross-validated, {learned.Comparisons[0].Nll:0.####} with uniform weights; 'mergekit learn' writes them down"),
        recipe.Learn!.Location);

    private static void Check(EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members)
    {
        var problems = recipe.Members.Where(member => member.Dropout is not null)
            .Select(member => Problem.Error("'learn': passes under dropout are alike, so there is nothing to learn about them; leave out 'dropout'", member.Location)).ToList();
        if (recipe.Vocabulary.Mode != "identical")
            problems.Add(Problem.Error($"'learn' needs members of one vocabulary; 'vocabulary.mode' is {recipe.Vocabulary.Mode}", recipe.Vocabulary.Location));
        foreach (var (member, entry) in members.Zip(recipe.Members))
            if (member.TokenizerId != members[0].TokenizerId)
                problems.Add(Problem.Error($"'learn': {member.Model.Name} has another tokenizer than {members[0].Model.Name}; weights are learned over one vocabulary", entry.Location));
        if (problems.Count > 0)
            throw new InputException(problems);
    }
}
