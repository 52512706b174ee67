using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>The evaluator with models that can be checked by hand.</summary>
public sealed class EvaluatorTests
{
    private static readonly EvaluationOptions Options = new() { BootstrapDraws = 500 };

    /// <summary>Likes a character to be followed by the next of the alphabet.</summary>
    private static BigramModel Alphabet(string name, float strength = 3, int maxLength = 64) =>
        new(name, (last, next) => next == last + 1 ? strength : (next % 5) * 0.1f, maxLength);

    private static EvaluatedModel With(BigramModel model, string tokenizer = "characters") => new(model, new CharacterEncoder(), tokenizer);

    private static DataSetResult Run(EvaluatedModel model, DataSet data, EvaluationOptions options) =>
        Evaluator.Run(model, data, options, TestContext.Current.CancellationToken);

    private static EvaluationResult Run(EvaluatedModel[] models, DataSet[] data, EvaluationOptions options) =>
        Evaluator.Run(models, data, options, TestContext.Current.CancellationToken);

    private static double Sum(BigramModel model, string context, string continuation)
    {
        var (sum, last) = (0.0, context.Length == 0 ? 0 : CharacterEncoder.Id(context[^1]));
        foreach (var c in continuation)
        {
            sum += model.LogProb(last, CharacterEncoder.Id(c));
            last = CharacterEncoder.Id(c);
        }

        return sum;
    }

    [Fact]
    public void Documents_are_scored_once_per_token_and_ratios_are_of_sums()
    {
        var model = Alphabet("m");
        var data = new TextDataSet("d", "d.jsonl", ["abcd efg", "", "héllo"], IsPlainText: false);
        var result = Run(With(model), data, Options);
        var expected = data.Documents.Select(text => Sum(model, "", text)).ToArray();
        var items = result.Items.Cast<TextItem>().ToArray();
        Assert.Equal(expected, items.Select(item => item.LogLikelihood), (x, y) => Math.Abs(x - y) < 1e-5);
        Assert.Equal([8.0, 0.0, 6.0], items.Select(item => item.Bytes));
        Assert.Equal([8, 0, 5], items.Select(item => item.Tokens));
        Assert.Equal(-expected.Sum() / (14 * Math.Log(2)), result["bits_per_byte"].Value, 6);
        Assert.Equal(Math.Exp(-expected.Sum() / 13), result["token_perplexity"].Value, 4);
        Assert.Equal("bits_per_byte", result.Measurements[0].Metric);
    }

    [Theory]
    [InlineData(WindowContext.PrefixToken)]
    [InlineData(WindowContext.PreviousToken)]
    public void A_long_text_is_cut_into_windows_of_the_models_length(WindowContext windows)
    {
        var model = Alphabet("m", maxLength: 8);
        var text = string.Concat(Enumerable.Repeat("abcdefghij ", 10));
        var result = Run(With(model), new TextDataSet("d", "d.txt", [text], IsPlainText: true), Options with { Windows = windows });
        var expected = Enumerable.Range(0, (text.Length + 6) / 7).Sum(i =>
        {
            var part = text[(i * 7)..Math.Min(text.Length, (i * 7) + 7)];
            return Sum(model, windows == WindowContext.PreviousToken && i > 0 ? text[(i * 7) - 1].ToString() : "", part);
        });
        Assert.Equal(8, model.LongestRequest);
        Assert.Equal(16, result.Items.Count);
        Assert.Equal(text.Length, result.Items.Sum(item => ((TextItem)item).Tokens));
        Assert.Equal(text.Length, result.Items.Sum(item => ((TextItem)item).Bytes), 6);
        Assert.Equal(-expected / text.Length, result["nll_per_token"].Value, 5);
        var interval = result["bits_per_byte"].Interval!.Value;
        Assert.InRange(result["bits_per_byte"].Value, interval.Low, interval.High);
    }

    [Fact]
    public void Choices_are_judged_by_their_scores_and_shared_prefixes_change_nothing()
    {
        var model = Alphabet("m");
        var data = new ChoiceDataSet("d", "d.jsonl",
        [
            new ChoiceQuestion("abc", ["x", "d", "a"], [1], ""),
            new ChoiceQuestion("abc", ["defg", "dq", "hello"], [0], ""),
            new ChoiceQuestion("say ", ["abc", "cba"], [0, 1], " "),
            new ChoiceQuestion("", ["bc", "zz"], [1], ""),
        ]);
        var items = Run(With(model), data, Options).Items.Cast<ChoiceItem>().ToArray();
        foreach (var (item, question) in items.Zip(data.Items))
        {
            var bare = question.Context.TrimEnd();
            var moved = question.Context[bare.Length..] + question.Delimiter;
            Assert.Equal(question.Choices.Select(choice => Sum(model, bare, moved + choice)), item.LogLikelihoods, (x, y) => Math.Abs(x - y) < 1e-4);
        }

        Assert.Equal([1.0, 0.0, 1.0, 0.0], items.Select(item => item.Accuracy));
        Assert.Equal(1.0, items[1].AccuracyNorm);
        Assert.Equal(4, model.Requests);
    }

    [Fact]
    public void A_long_context_is_fed_once_for_all_its_choices()
    {
        var model = Alphabet("m");
        var question = new ChoiceQuestion("abcdefgh", ["i", "ij", "x", "abc"], [0], "");
        var item = (ChoiceItem)Run(With(model), new ChoiceDataSet("d", "d.jsonl", [question]), Options).Items[0];
        Assert.Equal(question.Choices.Select(choice => Sum(model, question.Context, choice)), item.LogLikelihoods, (x, y) => Math.Abs(x - y) < 1e-4);
        Assert.Equal(0, model.Requests);
    }

    [Fact]
    public void Mutual_information_subtracts_the_score_without_context()
    {
        var model = Alphabet("m");
        var data = new ChoiceDataSet("d", "d.jsonl", [new ChoiceQuestion("abc", ["d", "e"], [0], "")]);
        var result = Run(With(model), data, Options with { MutualInformation = true });
        Assert.Equal(1.0, result["acc_mutual_info"].Value);
        Assert.InRange(result["acc"].Interval!.Value.Low, 0.05, 0.9);
    }

    [Fact]
    public void Exact_match_takes_the_first_line_of_the_greedy_continuation()
    {
        var newline = CharacterEncoder.Id('\n');
        var end = CharacterEncoder.Id('9');
        var model = new BigramModel("m", (last, next) => last == CharacterEncoder.Id('z') ? (next == 0 ? 5 : 0) : last == end ? (next == newline ? 5 : 0) : next == last + 1 ? 5 : 0);
        var data = new ExactDataSet("d", "d.jsonl", [new("5", "6789"), new("w", "xyz"), new("a", "bcd"), new("7", "89 ")]);
        var result = Run(With(model), data, Options with { MaxNewTokens = 3 });
        Assert.Equal([false, true, true, false], result.Items.Select(item => ((ExactItem)item).Correct));
        result = Run(With(model), data, Options with { MaxNewTokens = 30 });
        Assert.Equal([true, true, false, false], result.Items.Select(item => ((ExactItem)item).Correct));
        Assert.Equal("6789\n", ((ExactItem)result.Items[0]).Generated);
        Assert.Equal(0.5, result["exact_match"].Value);
    }

    [Fact]
    public void Models_are_compared_on_the_same_items_with_Holm_over_data_sets()
    {
        var (better, worse) = (Alphabet("better", 4), Alphabet("worse", 1));
        var documents = Enumerable.Range(0, 30).Select(i => "abcdefghijkl"[(i % 4)..(6 + (i % 6))]).ToArray();
        var choices = Enumerable.Range(0, 20).Select(i => new ChoiceQuestion(((char)('a' + i)).ToString(), [((char)('b' + i)).ToString(), "#"], [0], "")).ToArray();
        DataSet[] data = [new TextDataSet("text", "t", documents, false), new ChoiceDataSet("choice", "c", choices)];
        var result = Run([With(worse), With(better), With(Alphabet("same", 1))], data, Options);
        Assert.Equal(4, result.Comparisons.Count);
        var text = result.Comparisons.Single(c => c.Model == "better" && c.DataSet == "text");
        Assert.True(text.Difference < 0 && text.PValue < 0.01 && text.Interval!.Value.High < 0);
        Assert.Equal(Math.Min(1, 2 * text.PValue), text.PHolm, 12);
        Assert.Equal("better", text.Verdict);
        Assert.Empty(result.Means); // two metrics, one data set each
        var means = Run([With(worse), With(better)], [data[0], (TextDataSet)data[0] with { Name = "again" }, data[1]], Options).Means;
        Assert.Equal(("better", "bits_per_byte", "better", text.Difference), (Assert.Single(means).Model, means[0].Metric, means[0].Verdict, means[0].Difference));
        Assert.All(result.Comparisons.Where(c => c.Model == "same"), c => Assert.Equal((0.0, 1.0, 1.0), (c.Difference, c.PValue, c.PHolm)));
    }

    [Theory]
    [InlineData("acc", "exact McNemar")]
    [InlineData("acc_norm", "exact McNemar")]
    [InlineData("prob", "paired t")]
    [InlineData("brier", "paired t")]
    public void Models_are_compared_by_the_metric_that_is_asked_for(string metric, string test)
    {
        var choices = Enumerable.Range(0, 20).Select(i => new ChoiceQuestion(((char)('a' + i)).ToString(), [((char)('b' + i)).ToString(), i % 3 == 0 ? "####" : "#"], [0], "")).ToArray();
        var result = Run([With(Alphabet("worse", 0.1f)), With(Alphabet("better", 4))], [new ChoiceDataSet("choice", "c", choices)], Options with { ChoiceMetric = metric });
        var comparison = Assert.Single(result.Comparisons);
        Assert.Equal((metric, test, result["better", "choice"][metric].HigherIsBetter), (comparison.Metric, comparison.Test, comparison.HigherIsBetter));
        Assert.Equal(result["better", "choice"][metric].Value - result["worse", "choice"][metric].Value, comparison.Difference);
        Assert.InRange(comparison.Difference, comparison.Interval!.Value.Low, comparison.Interval.Value.High);
        if (test == "paired t")
            Assert.Equal("better", comparison.Verdict);
    }

    [Fact]
    public void Windows_of_unlike_lengths_are_not_paired()
    {
        var data = new TextDataSet("d", "d.txt", [string.Concat(Enumerable.Repeat("abcdefg ", 20))], IsPlainText: true);
        var result = Run([With(Alphabet("a", maxLength: 16)), With(Alphabet("b", maxLength: 32))], [data], Options);
        var comparison = Assert.Single(result.Comparisons);
        Assert.True(double.IsNaN(comparison.PValue) && double.IsNaN(comparison.PHolm) && comparison.Interval is null);
        Assert.StartsWith("not paired", comparison.Test, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_model_may_not_give_is_an_error()
    {
        var broken = new BigramModel("broken", (_, next) => next == 7 ? float.NaN : 0);
        var data = new TextDataSet("d", "d.jsonl", ["abc"], false);
        Assert.Contains("NaN", Assert.Throws<InputException>(() => Run(With(broken), data, Options)).Message, StringComparison.Ordinal);
        Assert.Throws<InputException>(() => Run([With(Alphabet("a")), With(Alphabet("a"))], [data], Options));
        Assert.Throws<InputException>(() => Run([With(Alphabet("a"))], [data], Options with { Baseline = "b" }));
        var empty = new ChoiceDataSet("d", "mc.jsonl", [new ChoiceQuestion("a", ["b", ""], [0], "")]);
        Assert.Contains("mc.jsonl: item 1", Assert.Throws<InputException>(() => Run(With(Alphabet("a")), empty, Options)).Message, StringComparison.Ordinal);
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.Throws<OperationCanceledException>(() => Evaluator.Run([With(Alphabet("a"))], [data], Options, stopped.Token));
    }
}
