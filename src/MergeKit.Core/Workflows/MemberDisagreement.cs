using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Models;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Core.Workflows;

/// <summary>How sure members are of one item together: over its choices, or the mean over its answer tokens. Entropies in nats.</summary>
/// <param name="PredictiveEntropy">Of the mean law.</param>
/// <param name="ExpectedEntropy">Mean of the members' entropies.</param>
/// <param name="MutualInformation">The difference: disagreement.</param>
/// <param name="Votes">Share of members that vote for the mean law's favourite (of tokens the mean share).</param>
/// <param name="Correct">Whether the mean law's favourite is right (of tokens the share that is).</param>
public sealed record ItemUncertainty(double PredictiveEntropy, double ExpectedEntropy, double MutualInformation, double Votes, double Correct);

/// <summary>Uncertainty over a data set.</summary>
/// <param name="DataSet">Where.</param>
/// <param name="Items">Item by item.</param>
/// <param name="Means">The means with normal 95 % intervals, in the order of <see cref="ItemUncertainty"/>'s members.</param>
/// <param name="Quarters">Share right by quarter of the items, from the least mutual information to the most.</param>
public sealed record UncertaintyReport(string DataSet, IReadOnlyList<ItemUncertainty> Items, IReadOnlyList<MeanEstimate> Means, IReadOnlyList<double> Quarters)
{
    /// <summary>Where every item was judged by the members that were not trained on it: how many items had to be left out, because fewer than two members were
    /// not; null where all members judged all items.</summary>
    public int? LeftOut { get; init; }
}

/// <summary>Runs several members (models, or passes of one under different dropout seeds) over the same items and measures how far they agree.</summary>
public static class MemberDisagreement
{
    /// <summary>Runs. Errors: fewer than two members, members of different tokenizers, no items.</summary>
    /// <param name="members">At least two, over one vocabulary.</param>
    /// <param name="data">Choices are classes; of other data every answer token is one prediction.</param>
    /// <param name="count">The most items.</param>
    /// <param name="bags">Where the data are what the members were trained on resamples of: which resample each; then an item is judged by the members that were
    /// not trained on it (out of bag, Breiman 1996).</param>
    public static UncertaintyReport Run(IReadOnlyList<EvaluatedModel> members, DataSet data, int count, MemberBags? bags = null)
    {
        if (members.Count < 2)
            throw new InputException($"uncertainty needs at least two members to disagree; got {members.Count}");
        if (members.FirstOrDefault(member => member.TokenizerId != members[0].TokenizerId) is { } other && data is not ChoiceDataSet)
            throw new InputException($"{other.Name} and {members[0].Name} have different tokenizers; only multiple choice can be compared between them");
        if (bags is not null && data is TextDataSet { IsPlainText: true })
            throw new InputException($"{data.Path}: a plain text has no items of which bags could be drawn; wanted JSON lines");
        var fair = bags?.Fair(data.Count);
        int[] taken = [.. Enumerable.Range(0, Math.Min(count, data.Count)).Where(item => fair is null || fair[item].Length > 1)];
        IReadOnlyList<EvaluatedModel> Judges(int item) => fair is null ? members : [.. fair[item].Select(member => members[member])];
        ItemUncertainty[] items = [.. data is ChoiceDataSet choices
            ? taken.Select(item => OfChoices(Judges(item), choices.Items[item], data))
            : OfTokens(members, AnswerReader.Read(new ExampleSource(data.Path, Count: count), members[0].Encoder, members.Min(member => member.Model.MaxLength)), fair)];
        if (items.Length < 2)
            throw new InputException($"{data.Path}: {items.Length} items; uncertainty needs at least 2");
        MeanEstimate Mean(Func<ItemUncertainty, double> of) => Descriptive.Estimate([.. items.Select(of)]);
        ItemUncertainty[] sorted = [.. items.OrderBy(item => item.MutualInformation)];
        return new UncertaintyReport(
            data.Name, items,
            [Mean(item => item.PredictiveEntropy), Mean(item => item.ExpectedEntropy), Mean(item => item.MutualInformation), Mean(item => item.Votes), Mean(item => item.Correct)],
            [.. Enumerable.Range(0, 4).Select(q => sorted[(q * sorted.Length / 4)..Math.Max((q * sorted.Length / 4) + 1, (q + 1) * sorted.Length / 4)].Average(item => item.Correct))])
        {
            LeftOut = fair is null ? null : Math.Min(count, data.Count) - items.Length,
        };
    }

    private static ItemUncertainty OfChoices(IReadOnlyList<EvaluatedModel> members, ChoiceQuestion item, DataSet data)
    {
        double[][] probabilities = [.. members.Select(member =>
        {
            var scores = member.Model.LogProbs([.. item.Choices.Select(choice => Encode(member, item.Context, item.Delimiter + choice, data))]);
            return RowMath.Softmax([.. scores.Select(row => row.Sum(value => (double)value))]);
        })];
        var result = MemberUncertainty.Of(probabilities);
        var best = Enumerable.Range(0, result.Mean.Length).MaxBy(i => result.Mean[i]);
        return new ItemUncertainty(result.PredictiveEntropy, result.ExpectedEntropy, result.MutualInformation, result.Votes[best], item.Gold.Contains(best) ? 1 : 0);
    }

    private static ScoreRequest Encode(EvaluatedModel member, string context, string continuation, DataSet data)
    {
        try
        {
            return LoglikelihoodRequest.Encode(new BosEncoder(member.Encoder), context, continuation, member.Model.MaxLength - 1).ToScoreRequest();
        }
        catch (EvaluationException failure)
        {
            throw new InputException($"{data.Path}: {failure.Message}", failure);
        }
    }

    private static IEnumerable<ItemUncertainty> OfTokens(IReadOnlyList<EvaluatedModel> members, AnswerSet answers, IReadOnlyList<int[]>? fair)
    {
        var size = members.Min(member => member.Model.VocabularySize);
        ILogitRows[] rows = [.. members.Select(member => member.Model.Rows(answers.Requests))];
        try
        {
            int[] all = [.. Enumerable.Range(0, members.Count)];
            var tokens = Enumerable.Range(0, answers.Gold.Length).Select(t => (Example: answers.Clusters[t], Place: t, Judges: fair?[answers.Clusters[t]] ?? all))
                .Where(token => token.Judges.Length > 1).Select(token => (token.Example, Result: OfToken(members, rows, token.Judges, token.Place, size, answers.Gold[token.Place]))).ToArray();
            foreach (var example in tokens.GroupBy(token => token.Example, token => token.Result))
                yield return new ItemUncertainty(
                    example.Average(token => token.PredictiveEntropy), example.Average(token => token.ExpectedEntropy), example.Average(token => token.MutualInformation),
                    example.Average(token => token.Votes), example.Average(token => token.Correct));
        }
        finally
        {
            Array.ForEach(rows, row => row.Dispose());
        }
    }

    private static ItemUncertainty OfToken(IReadOnlyList<EvaluatedModel> members, ILogitRows[] rows, int[] judges, int position, int size, int gold)
    {
        var probabilities = new double[judges.Length][];
        for (var k = 0; k < judges.Length; k++)
        {
            var logits = new float[members[judges[k]].Model.VocabularySize];
            rows[judges[k]].Read(position, logits);
            probabilities[k] = RowMath.Softmax(Array.ConvertAll(logits[..size], value => (double)value));
        }

        var result = MemberUncertainty.Of(probabilities);
        var best = Array.IndexOf(result.Mean, result.Mean.Max());
        return new ItemUncertainty(result.PredictiveEntropy, result.ExpectedEntropy, result.MutualInformation, result.Votes[best], best == gold ? 1 : 0);
    }
}
