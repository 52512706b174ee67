using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Evaluation.Requests;

namespace MergeKit.Inference.Workflows;

/// <summary>A model's answer to one item.</summary>
/// <param name="Correct">1 or 0.</param>
/// <param name="Confidence">By the measure asked for; larger is surer.</param>
public readonly record struct ItemAnswer(double Correct, double Confidence);

/// <summary>How items are answered.</summary>
/// <param name="Confidence">mean_logprob, min_logprob, margin or vote_share.</param>
/// <param name="Votes">Samples for vote_share.</param>
/// <param name="Temperature">Their temperature.</param>
/// <param name="MaxNewTokens">The most tokens of a generated answer.</param>
/// <param name="Seed">Of the samples.</param>
public sealed record AnswerOptions(string Confidence = "mean_logprob", int Votes = 5, double Temperature = 0.7, int MaxNewTokens = 32, ulong Seed = 0);

/// <summary>Answers items and says how sure the model is. Exact match: of the greedy answer's tokens the mean or least log-probability or the mean margin; or the
/// share of samples that agree on the commonest answer, which is then the answer. Multiple choice: of the chosen one's tokens; the margin is that
/// between the two most probable choices.</summary>
public static class ItemAnswers
{
    /// <summary>Answers every item. Errors: data without right answers, votes on multiple choice.</summary>
    public static IReadOnlyList<ItemAnswer> Of(EvaluatedModel model, DataSet data, AnswerOptions options, int? limit = null, CancellationToken cancellation = default) => data switch
    {
        ExactDataSet exact => [.. exact.Items.Take(limit ?? int.MaxValue).Select((item, i) => Exact(model, item, options with { Seed = options.Seed + (ulong)i }, cancellation))],
        ChoiceDataSet when options.Confidence == "vote_share" =>
            throw new InputException($"{data.Path}: 'confidence: vote_share' needs items whose answers are written; multiple choice has mean_logprob, min_logprob and margin"),
        ChoiceDataSet choices => [.. choices.Items.Take(limit ?? int.MaxValue).Select(item => Choice(model, item, options, data, cancellation))],
        _ => throw new InputException($"{data.Path}: running text has no right answers; wanted exact-match or multiple-choice items"),
    };

    private static ItemAnswer Exact(EvaluatedModel model, ExactQuestion item, AnswerOptions options, CancellationToken cancellation)
    {
        if (options.Confidence == "vote_share")
            return Voted(model, item, options, cancellation);
        var written = TextWriting.Write(model, item.Prompt, new WritingOptions(options.MaxNewTokens, ["\n"]), cancellation);
        return new ItemAnswer(IsRight(written.Text, item), options.Confidence switch
        {
            "min_logprob" => written.LogProbs.Min(),
            "margin" => written.Margins.Average(),
            _ => written.MeanLogProb,
        });
    }

    private static ItemAnswer Voted(EvaluatedModel model, ExactQuestion item, AnswerOptions options, CancellationToken cancellation)
    {
        string[] texts = [.. Enumerable.Range(0, options.Votes).Select(vote => TextWriting.Write(
            model, item.Prompt, new WritingOptions(options.MaxNewTokens, ["\n"], options.Temperature, (options.Seed * 1_000_003) + (ulong)vote), cancellation).Text.Trim())];
        var winner = ResponseFilter.MajorityVote.Apply(texts)[0];
        return new ItemAnswer(IsRight(winner, item), texts.Count(text => text == winner) / (double)texts.Length);
    }

    private static double IsRight(string text, ExactQuestion item) => text.Trim() == item.Answer ? 1 : 0;

    private static ItemAnswer Choice(EvaluatedModel model, ChoiceQuestion item, AnswerOptions options, DataSet data, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var requests = item.Choices.Select(choice => Encode(model, item.Context, item.Delimiter + choice, data)).ToArray();
        var scores = model.Model.LogProbs(requests);
        double[] sums = [.. scores.Select(row => row.Sum(value => (double)value))];
        var best = Enumerable.Range(0, sums.Length).MaxBy(i => sums[i]);
        return new ItemAnswer(item.Gold.Contains(best) ? 1 : 0, options.Confidence switch
        {
            "min_logprob" => scores[best].Min(),
            "margin" => Margin(sums),
            _ => sums[best] / scores[best].Length,
        });
    }

    private static double Margin(double[] sums)
    {
        double[] shares = [.. sums.Select(sum => Math.Exp(sum - sums.Max()))];
        double[] sorted = [.. shares.OrderDescending()];
        return (sorted[0] - (sorted.Length > 1 ? sorted[1] : 0)) / shares.Sum();
    }

    private static Core.Models.ScoreRequest Encode(EvaluatedModel model, string context, string continuation, DataSet data)
    {
        try
        {
            return LoglikelihoodRequest.Encode(new BosEncoder(model.Encoder), context, continuation, model.Model.MaxLength - 1).ToScoreRequest();
        }
        catch (EvaluationException failure)
        {
            throw new InputException($"{data.Path}: {failure.Message}", failure);
        }
    }
}
