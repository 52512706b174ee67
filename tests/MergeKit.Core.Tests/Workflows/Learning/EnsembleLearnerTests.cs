using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tests.Evaluation;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Core.Tests.Workflows.Learning;

/// <summary>Learning with models that can be checked by hand: one knows letters, one knows digits, one knows nothing.</summary>
public sealed class EnsembleLearnerTests
{
    private static readonly BigramModel Letters = new("letters", (last, next) => IsLetter(last) && next == last + 1 ? 6 : 0);
    private static readonly BigramModel Digits = new("digits", (last, next) => !IsLetter(last) && next == last + 1 ? 6 : 0);
    private static readonly BigramModel Nothing = new("nothing", (_, next) => next % 7 * 0.3f);

    private static bool IsLetter(int id) => id >= CharacterEncoder.Id('a');

    private static LearnSettings Settings(string method = "auto", int folds = 4, double l2 = 0.001) => new("data", null, null, 100, folds, l2, method, new SourceLocation("r.yml", 3, 1));

    private static AnswerSet Answers()
    {
        string[] texts = ["abcdef", "123456", "cdefgh", "345678", "fghijk", "efghi", "012345", "lmnopq", "mnop", "bcdefg", "234567", "hijkl"];
        return new AnswerSet(
            [.. texts.Select(text => new ScoreRequest(new[] { CharacterEncoder.Id(text[0]) }, text[1..].Select(CharacterEncoder.Id).ToArray()))],
            [.. Enumerable.Range(0, texts.Length)]);
    }

    private static LearnedWeights Learn(string rule, LearnSettings settings, params ILanguageModel[] members) =>
        EnsembleLearner.Learn(rule, members, Answers(), CharacterEncoder.Size, settings, id => IsLetter(id) ? TokenClass.Word : TokenClass.Number);

    [Theory]
    [InlineData("linear", "auto")]
    [InlineData("log_linear", "auto")]
    [InlineData("log_linear", "similarity")]
    [InlineData("log_linear", "greedy")]
    [InlineData("posterior", "em")]
    public void Learned_weights_predict_as_the_ensemble_with_them_does(string rule, string method)
    {
        var learned = Learn(rule, Settings(method), Letters, Digits, Nothing);
        ICombiner combiner = rule == "log_linear" ? new LogLinearCombiner(learned.Weights) : new LinearCombiner(learned.Weights);
        using var ensemble = new Ensemble("e", [Letters, Digits, Nothing], combiner);
        Assert.Equal(-ensemble.LogProbs(Answers().Requests).SelectMany(row => row).Average(value => (double)value), learned.Nll, 4);
        Assert.Equal(12, learned.Examples);
        Assert.All(learned.Members, member => Assert.InRange(member.Weight, member.FoldLow - 0.2, member.FoldHigh + 0.2));
    }

    [Fact]
    public void The_useless_member_gets_nothing_and_its_absence_costs_nothing()
    {
        var learned = Learn("linear", Settings(), Letters, Digits, Nothing);
        Assert.Equal(0, learned.Members[2].Weight, 4);
        Assert.Null(learned.Members[2].StandardError);
        Assert.InRange(learned.Members[0].StandardError!.Value, 0.01, 0.5);
        Assert.Equal(learned.CrossValidatedNll, learned.Members[2].Without!.Value, 3);
        Assert.True(learned.Members[0].Without > learned.CrossValidatedNll + 0.5);
        Assert.True(learned.Comparisons[0].Difference < 0 && learned.Comparisons[1].Difference < 0);
    }

    [Fact]
    public void A_gate_is_kept_where_it_helps_and_left_where_there_is_nothing_to_choose()
    {
        var helps = Learn("gated", Settings(), Letters, Digits);
        Assert.True(helps.Gate!.Kept);
        Assert.True(helps.Gate.CrossValidatedNll < helps.CrossValidatedNll - 0.1);
        using var ensemble = new Ensemble("e", [Letters, Digits], new GatedCombiner(helps.Gate.Weights, helps.Gate.Bias),
            new EnsembleOptions { Classes = [.. Enumerable.Range(0, CharacterEncoder.Size).Select(id => IsLetter(id) ? TokenClass.Word : TokenClass.Number)] });
        var reached = -ensemble.LogProbs(Answers().Requests).SelectMany(row => row).Average(value => (double)value);
        Assert.InRange(reached, 0, helps.Gate.CrossValidatedNll + 0.05);
        var twins = Learn("gated", Settings(l2: 1), Letters, Letters);
        Assert.False(twins.Gate!.Kept);
    }

    [Theory]
    [InlineData("dexperts", "auto", "'dexperts' has no weights to learn")]
    [InlineData("perplexity", "auto", "takes its weights from every prompt")]
    [InlineData("linear", "newton", "is not learned by 'newton'; wanted em")]
    public void Rules_and_methods_that_do_not_fit_are_named(string rule, string method, string message)
    {
        var failure = Assert.Throws<InputException>(() => Learn(rule, Settings(method), Letters, Digits));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        Assert.Contains("r.yml:3:1", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_example_is_too_few()
    {
        var one = new AnswerSet([Answers().Requests[0]], [0]);
        Assert.Contains("at least 2", Assert.Throws<InputException>(() => EnsembleLearner.Learn("linear", [Letters, Digits], one, CharacterEncoder.Size, Settings())).Message, StringComparison.Ordinal);
    }
}
