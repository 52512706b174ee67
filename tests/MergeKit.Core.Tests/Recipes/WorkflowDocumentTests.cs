using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>Documents with <c>cascade</c>, <c>stages</c> and <c>learn</c>: what they mean, and what is wrong with them.</summary>
public sealed class WorkflowDocumentTests
{
    private const string Cascade = "cascade:\n- {model: small, cost: 1}\n- {model: large, cost: 10}\ndata: val.jsonl\n";
    private const string Stages = "stages:\n- {model: m, prompt: '{{x.q}}'}\ndata: d.jsonl\n";
    private const string Learned = "ensemble: linear\nmodels:\n- model: a\n- model: b\nlearn: {data: d.jsonl, prompt: '{{q}}', target: '{{a}}', examples: 50, folds: 3, l2: 0.1}\n";

    private static T Read<T>(string text) => Assert.Single(RecipeReader.ParseDocuments("r.yml", text).OfType<T>());

    private static string Error(string text) => Assert.Throws<InputException>(() => RecipeReader.ParseDocuments("r.yml", text)).Message;

    [Fact]
    public void A_cascade_has_two_models_with_costs_and_one_goal()
    {
        var recipe = Read<CascadeRecipe>(Cascade + "budget: 3.5\nconfidence: vote_share\nvotes: 7\n");
        Assert.Equal(("small", 1.0, "large", 10.0), (recipe.Small.Model.Path, recipe.Small.Cost, recipe.Large.Model.Path, recipe.Large.Cost));
        Assert.Equal(("vote_share", 7, 0.7, 32, 3.5), (recipe.Confidence, recipe.Votes, recipe.Temperature, recipe.MaxNewTokens, recipe.Budget!.Value));
        Assert.Equal("mean_logprob", Read<CascadeRecipe>(Cascade + "threshold: -1.5").Confidence);
    }

    [Theory]
    [InlineData("", "exactly one of 'target_accuracy', 'budget' and 'threshold'")]
    [InlineData("budget: 1\nthreshold: 2\n", "exactly one of")]
    [InlineData("target_accuracy: 1.2\n", "'target_accuracy' is 1.2; wanted a number from 0 to 1")]
    [InlineData("budget: -1\n", "'budget' is -1; wanted a number of at least 0")]
    [InlineData("budget: 1\nconfidence: margins\n", "Did you mean 'margin'?")]
    [InlineData("budget: 1\nconfidence: vote_share\ntemperature: 0\n", "'temperature' is 0")]
    [InlineData("budget: 1\ntests: x\n", "unknown key 'tests'")]
    public void A_cascade_that_cannot_be_run_is_refused(string more, string message) => Assert.Contains(message, Error(Cascade + more), StringComparison.Ordinal);

    [Fact]
    public void A_cascade_of_one_model_or_without_costs_is_refused()
    {
        Assert.Contains("'cascade' has 1 models", Error("cascade: [{model: a, cost: 1}]\ndata: d\nbudget: 1\n"), StringComparison.Ordinal);
        Assert.Contains("'cost' is missing", Error("cascade: [{model: a}, {model: b, cost: 1}]\ndata: d\nbudget: 1\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void Stages_have_names_samples_and_judges()
    {
        var recipe = Read<StagesRecipe>("""
            stages:
            - {model: m, prompt: "{{x.q}}", samples: 5, choose: majority}
            - {name: final, model: n, prompt: "{{y1}}", samples: 3, temperature: 1, choose: best, judge: j, judge_prompt: "{{x.q}}", stop: "##"}
            rounds: 3
            until: {pattern: "DONE", unchanged: true}
            data: d.jsonl
            answer: "{{x.a}}"
            """);
        Assert.Equal([("y1", 5, 0.7, "majority"), ("final", 3, 1.0, "best")], recipe.Stages.Select(stage => (stage.Name, stage.Samples, stage.Temperature, stage.Choose)));
        Assert.Equal(["\n"], recipe.Stages[0].Stop);
        Assert.Equal(["m", "n", "j"], recipe.AllModels().Select(model => model.Path));
        Assert.Equal((3, "DONE", true), (recipe.Rounds, recipe.StopPattern, recipe.StopUnchanged));
    }

    [Theory]
    [InlineData("- {model: m, prompt: p, samples: 3}", "need 'choose': majority or best")]
    [InlineData("- {model: m, prompt: p, samples: 3, temperature: 0, choose: majority}", "3 samples are all the same")]
    [InlineData("- {model: m, prompt: p, choose: best}", "'choose: best' and 'judge' go together")]
    [InlineData("- {model: m, prompt: p, judge: j}", "'choose: best' and 'judge' go together")]
    [InlineData("- {model: m, prompt: p, name: x}", "cannot be called 'x'")]
    [InlineData("- {model: m, prompt: p, name: a}\n- {model: m, prompt: p, name: a}", "two stages have the name 'a'")]
    [InlineData("- {model: m}", "'prompt' is missing")]
    public void Stages_that_cannot_be_run_are_refused(string stages, string message) =>
        Assert.Contains(message, Error($"stages:\n{stages}\ndata: d.jsonl\n"), StringComparison.Ordinal);

    [Fact]
    public void A_stop_pattern_must_be_one() => Assert.Contains("no regular expression", Error(Stages + "until: {pattern: '('}\n"), StringComparison.Ordinal);

    [Fact]
    public void Learn_stands_in_an_ensemble()
    {
        var learn = Read<EnsembleRecipe>(Learned).Learn!;
        Assert.Equal(("d.jsonl", "{{q}}", "{{a}}", 50, 3, 0.1, "auto"), (learn.Data, learn.Prompt, learn.Target, learn.Examples, learn.Folds, learn.L2, learn.Method));
        Assert.Null(Read<EnsembleRecipe>("ensemble: linear\nmodels: [{model: a}, {model: b}]\n").Learn);
        Assert.Null(Read<EnsembleRecipe>("ensemble: gated\nmodels: [{model: a}, {model: b}]\nlearn: {data: d}\n").Gate);
    }

    [Theory]
    [InlineData("learn: {prompt: x, target: y}", "'data' is missing")]
    [InlineData("learn: {data: d, prompt: x}", "'prompt' and 'target' of 'learn' go together")]
    [InlineData("learn: {data: d, folds: 1}", "'folds' is the number 1; wanted a whole number of at least 2")]
    [InlineData("learn: {data: d, l2: -1}", "'l2' is -1; wanted a number of at least 0")]
    [InlineData("learn: {data: d, method: newtn}", "Did you mean 'newton'?")]
    [InlineData("learn: {data: d, fold: 3}", "unknown key 'fold' in 'learn'. Did you mean 'folds'?")]
    public void Learn_that_cannot_be_done_is_refused(string learn, string message) =>
        Assert.Contains(message, Error($"ensemble: linear\nmodels: [{{model: a}}, {{model: b}}]\n{learn}\n"), StringComparison.Ordinal);

    [Fact]
    public void Learned_weights_take_the_place_of_learn_and_the_rest_stays()
    {
        const string Merge = "# kept\nname: first\nmerge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n";
        var documents = RecipeReader.ParseDocuments("r.yml", $"{Merge}---\n{Learned.Replace("model: a", "model: first", StringComparison.Ordinal)}");
        var text = LearnedRecipe.Write(documents, documents[1], [0.25, 1e-7], null, ["learned", "from this"]);
        Assert.Contains("# kept", text, StringComparison.Ordinal);
        Assert.Contains("# learned\n# from this\n", text, StringComparison.Ordinal);
        var read = RecipeReader.ParseDocuments("l.yml", text);
        Assert.Equal(2, read.Count);
        var ensemble = (EnsembleRecipe)read[1];
        Assert.Null(ensemble.Learn);
        Assert.Equal([0.25, 1e-7], ensemble.Members.Select(member => member.Weight!.Value));
    }

    [Fact]
    public void A_gate_is_written_where_it_was_kept_and_a_mixture_where_not()
    {
        var documents = RecipeReader.ParseDocuments("r.yml", "ensemble: gated\nmodels: [{model: a}, {model: b}]\nlearn: {data: d}\n");
        var gated = (EnsembleRecipe)RecipeReader.ParseDocuments("l.yml", LearnedRecipe.Write(documents, documents[0], [0.5, 0.5], ([[1, 2], [-0.5, 3e-9]], [0, 7]), []))[0];
        Assert.Equal([[1, 2], [-0.5, 3e-9]], gated.Gate!.Weights);
        Assert.Equal([0, 7], gated.Gate.Bias);
        var linear = (EnsembleRecipe)RecipeReader.ParseDocuments("l.yml", LearnedRecipe.Write(documents, documents[0], [0.5, 0.5], null, []))[0];
        Assert.Equal(("linear", 0.5), (linear.Rule.Name, linear.Members[0].Weight!.Value));
    }
}
