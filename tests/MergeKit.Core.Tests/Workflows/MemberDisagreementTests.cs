using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Tests.Evaluation;
using MergeKit.Core.Workflows;

namespace MergeKit.Core.Tests.Workflows;

/// <summary>Uncertainty of members over choices and over tokens.</summary>
public sealed class MemberDisagreementTests
{
    private static EvaluatedModel Alphabet(string name, float strength, string tokenizer = "characters") =>
        new(new BigramModel(name, (last, next) => next == last + 1 ? strength : 0), new CharacterEncoder(), tokenizer);

    private static readonly ChoiceDataSet Choices = new("d", "d.jsonl",
        [new("abc", ["d", "x"], [0], ""), new("abc", ["d", "q"], [0], ""), new("hij", ["z", "k"], [1], ""), new("lm", ["n", "e"], [1], "")]);

    [Fact]
    public void Members_that_agree_share_no_information_and_those_that_differ_do()
    {
        var same = MemberDisagreement.Run([Alphabet("a", 3), Alphabet("b", 3)], Choices, 10);
        Assert.All(same.Items, item => Assert.Equal(0, item.MutualInformation, 9));
        Assert.Equal([1.0, 1.0, 1.0, 0.0], same.Items.Select(item => item.Correct));
        Assert.Equal(0.75, same.Means[4].Mean);
        var apart = MemberDisagreement.Run([Alphabet("a", 5), Alphabet("b", -5)], Choices, 2);
        Assert.All(apart.Items, item => Assert.InRange(item.MutualInformation, 0.5, Math.Log(2)));
        Assert.Equal(2, apart.Items.Count);
    }

    [Fact]
    public void Choices_give_the_same_numbers_as_the_sums_written_out()
    {
        var report = MemberDisagreement.Run([Alphabet("a", 3), Alphabet("b", 1)], Choices, 10);
        double[] p = [Math.Exp(3) / (Math.Exp(3) + 1), Math.Exp(1) / (Math.Exp(1) + 1)];
        double Entropy(double x) => -(x * Math.Log(x)) - ((1 - x) * Math.Log(1 - x));
        Assert.Equal(Entropy(p.Average()), report.Items[0].PredictiveEntropy, 5);
        Assert.Equal(p.Average(Entropy), report.Items[0].ExpectedEntropy, 5);
    }

    [Fact]
    public void What_cannot_disagree_is_refused()
    {
        Assert.Contains("at least two", Assert.Throws<InputException>(() => MemberDisagreement.Run([Alphabet("a", 1)], Choices, 9)).Message, StringComparison.Ordinal);
        var text = new ExactDataSet("e", "e.jsonl", []);
        Assert.Contains("different tokenizers", Assert.Throws<InputException>(() => MemberDisagreement.Run([Alphabet("a", 1), Alphabet("b", 1, "o")], text, 9)).Message, StringComparison.Ordinal);
        Assert.Contains("at least 2", Assert.Throws<InputException>(() => MemberDisagreement.Run([Alphabet("a", 1), Alphabet("b", 1)], Choices, 1)).Message, StringComparison.Ordinal);
    }
}
