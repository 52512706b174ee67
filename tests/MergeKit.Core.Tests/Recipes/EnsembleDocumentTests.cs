using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

public sealed class EnsembleDocumentTests
{
    public static TheoryData<string, string[]> Wrong => new()
    {
        { "ensemble: lineal\nmodels: [{model: a}]", ["1:11", "lineal", "Did you mean 'linear'?"] },
        { "ensemble: linear\nmodels: [{model: a, parameters: {weight: -1}}]", ["2:10", "-1", "log_linear"] },
        { "ensemble: linear\nmodels: [{model: a, parameters: {weight: 0}}]", ["every weight is 0"] },
        { "ensemble: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b}]", ["'b' has none"] },
        { "ensemble: linear\nmodels: [{model: a}]\nparameters: {alpha: 1}", ["3:14", "no parameter 'alpha'"] },
        { "ensemble: linear\nmodels: [{model: a, role: expert}]", ["names no parts"] },
        { "ensemble: linear\nbase_model: a\nmodels: [{model: a}]", ["2:1", "has no base model"] },
        { "ensemble: dexperts\nmodels: [{model: a, role: expert}]", ["needs 'base_model'"] },
        { "ensemble: dexperts\nbase_model: b\nmodels: [{model: a, role: amateur}]", ["'amateur'", "expert, antiexpert"] },
        { "ensemble: contrastive\nmodels: [{model: a, role: expert}]", ["role: amateur"] },
        { "ensemble: context_aware\nmodels: [{model: a}]", ["needs 'context'"] },
        { "ensemble: linear\ncontext: hello\nmodels: [{model: a}]", ["2:1", "context_aware"] },
        { "ensemble: gated\nmodels: [{model: a}, {model: b}]", ["needs 'gate'"] },
        { "ensemble: linear\nmodels: [{model: a, dropout: 1.5}]", ["above 0 and below 1"] },
        { "ensemble: linear\nmodels: [{model: a, passes: 3}]", ["goes with 'dropout'"] },
        { "ensemble: dexperts\nbase_model: b\nmodels: [{model: a, role: expert, dropout: 0.1}]", ["dropout makes several members"] },
        { "ensemble: linear\nmodels: [{model: a}]\nvocabulary: {mode: bites}", ["bites", "Did you mean 'bytes'?"] },
        { "ensemble: linear\nmodels: [{model: first}]\nvocabulary: {mode: union, pivot: firts}", ["firts", "Did you mean 'first'?"] },
        { "ensemble: linear\nmodels: [{modell: a}]", ["modell", "Did you mean 'model'?"] },
        { "ensemble: linear\nmodels: [{model: a, bag: 0}]", ["2:10", "'bag: 0' of 'a' goes with 'bagging'"] },
        { "ensemble: linear\nmodels: [{model: a}]\nbagging: {data: d.jsonl}", ["3:1", "no member says which 'bag'"] },
        { "ensemble: linear\nmodels: [{model: a, bag: -1}]\nbagging: {data: d.jsonl}", ["2:26", "bag"] },
        { "ensemble: linear\nmodels: [{model: a, bag: 0}]\nbagging: {seed: 1}", ["'data' is missing"] },
        { "ensemble: linear\nmodels: [{model: a, bag: 0}, {model: b, bag: 1}]\nbagging: {data: d.jsonl}\nlearn: {data: d.jsonl}", ["4:8", "same data, 'd.jsonl'"] },
        { "ensemble: linear\nmodels: [{model: a}]\ndtype: int8", ["3:1", "int8", "float32, bfloat16 or float16"] },
        { "ensemble: linear\nmodels: [{model: a}]\ndtype: float23", ["3:8", "float23"] },
        { "ensemble: linear\nmodels: [{model: a}]\nexecution: {members: stream}", ["3:22", "stream", "Did you mean 'streams'?"] },
        { "ensemble: linear\nmodels: [{model: a}]\nexecution: {}", ["'members' is missing"] },
        { "ensemble: linear\nmodels: [{model: a}]\nexecution: streams", ["3:12", "execution"] },
        { "ensemble: perplexity\nmodels: [{model: a}]\nparameters: {variant: weighted}", ["3:14", "no variant 'weighted'", "softmax and greedy"] },
        { "ensemble: perplexity\nmodels: [{model: a}]\nparameters: {variant: greedy, tau: 1}", ["3:31", "'tau' goes with 'variant: softmax'"] },
        { "ensemble: perplexity\nmodels: [{model: a}]\nparameters: {steps: 5}", ["3:14", "'steps' goes with 'variant: greedy'"] },
        { "ensemble: perplexity\nmodels: [{model: a}]\nparameters: {variant: greedy, steps: 0}", ["3:38", "steps"] },
        { "ensemble: linear\nmodels: [{model: a}]\nparameters: {variant: greedy}", ["no parameter 'variant'"] },
        { "name: x\nensemble: linear\nmodels: [{model: x}]", ["circle"] },
        { "ensemble: contrastive\nmodels: [{model: a, role: expert}, {model: b, role: amateur}]\nparameters: {variant: other}", ["variant", "weighted"] },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_is_wrong_is_said_with_its_place(string text, string[] parts)
    {
        var failure = Assert.Throws<InputException>(() => RecipeReader.ParseDocuments("e.yml", text));
        var message = string.Join("\n", failure.Problems);
        Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
        Assert.All(failure.Problems, problem => Assert.NotNull(problem.Location));
    }

    [Fact]
    public void All_problems_are_found_at_once()
    {
        var failure = Assert.Throws<InputException>(() => RecipeReader.ParseDocuments("e.yml", """
            ensemble: linear
            models:
            - {model: a, weigth: 1}
            - {model: b, parameters: {weight: many}}
            parameters: {leader_treshold: 1}
            """));
        Assert.Equal(3, failure.Problems.Count);
    }

    [Fact]
    public void Members_stand_in_the_order_of_the_rules_places()
    {
        var recipe = (EnsembleRecipe)RecipeReader.ParseDocuments("e.yml", """
            ensemble: dexperts
            base_model: big
            models:
            - {model: plain, role: antiexpert}
            - {model: tuned, role: expert}
            parameters: {alpha: 2, leader_threshold: 0.9}
            """)[0];
        Assert.Equal(["big", "tuned", "plain"], recipe.Members.Select(member => member.Model.Path));
        Assert.Equal(2, recipe.Parameters["alpha"]);
        var alone = (EnsembleRecipe)RecipeReader.ParseDocuments("e.yml", "ensemble: dexperts\nbase_model: big\nmodels: [{model: tuned, role: expert}]")[0];
        Assert.Equal(["big", "tuned", "big"], alone.Members.Select(member => member.Model.Path));
    }

    [Fact]
    public void A_gate_has_a_row_of_weights_per_member()
    {
        var recipe = (EnsembleRecipe)RecipeReader.ParseDocuments("e.yml", "ensemble: gated\nmodels: [{model: a}, {model: b}]\ngate: {weights: [[1, 2], [3, -4.5]], bias: [0, 1]}")[0];
        Assert.Equal([3, -4.5], recipe.Gate!.Weights[1]);
        Assert.Equal([0, 1], recipe.Gate.Bias);
    }
}
