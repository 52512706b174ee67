using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>Learns a gate, and keeps it only where it beats the best constant weights in cross-validation.</summary>
internal static class GateLearner
{
    private const int BlockRows = 64;

    /// <summary>Adds a gate to what was learned as constant weights.</summary>
    public static LearnedWeights Learn(
        LearnedWeights still, IReadOnlyList<ILanguageModel> members, AnswerSet answers, GoldLogProbs scores, int vocabulary,
        LearnSettings settings, Func<int, TokenClass>? classes)
    {
        var features = Features(members, answers, vocabulary, classes ?? (_ => TokenClass.None));
        var folds = WeightLearner.RequireFolds(answers, settings.Folds);
        var validated = new double[answers.Gold.Length];
        for (var fold = 0; fold < folds; fold++)
        {
            var gate = Fit(Chosen(fold, outside: true), features, scores, settings.L2);
            int[] held = Chosen(fold, outside: false);
            var own = gate.Evaluate([.. held.Select(t => features[t])], scores.Select(held)).MixtureLogProbs;
            for (var i = 0; i < held.Length; i++)
                validated[held[i]] = own[i];
        }

        var nll = -validated.Average();
        var best = Fit([.. Enumerable.Range(0, answers.Gold.Length)], features, scores, settings.L2);
        var constant = WeightLearner.CrossValidate(new LinearProblem(scores), answers.Clusters, folds).LogProbs;
        return still with
        {
            Gate = new LearnedGate([.. best.Weights], [.. best.Bias], nll, nll < still.CrossValidatedNll),
            Comparisons = [.. still.Comparisons, WeightLearner.Compare("the gate (constant weights minus gate)", constant, validated, answers.Clusters)],
        };

        int[] Chosen(int fold, bool outside) => [.. Enumerable.Range(0, answers.Gold.Length).Where(t => answers.Clusters[t] % folds == fold != outside)];
    }

    /// <summary>Learns over standardised features and gives the gate over the raw ones.</summary>
    private static Gate Fit(int[] positions, double[][] features, GoldLogProbs scores, double l2)
    {
        var (chosen, width) = (scores.Select(positions), features[0].Length);
        var (mean, scale) = (new double[width], new double[width]);
        for (var f = 0; f < width; f++)
        {
            mean[f] = positions.Average(t => features[t][f]);
            scale[f] = Math.Sqrt(positions.Average(t => Math.Pow(features[t][f] - mean[f], 2)));
        }

        double[][] standard = [.. positions.Select(t => features[t].Select((value, f) => scale[f] > 1e-9 ? (value - mean[f]) / scale[f] : 0).ToArray())];
        var gate = Gate.Fit(standard, chosen, l2, LinearWeights.Fit(chosen).Weights);
        double[][] weights = [.. gate.Weights.Select(row => row.Select((w, f) => scale[f] > 1e-9 ? w / scale[f] : 0).ToArray())];
        return new Gate(weights, [.. gate.Bias.Select((b, k) => b - weights[k].Select((w, f) => w * mean[f]).Sum())]);
    }

    /// <summary>The features of every answer position, as the ensemble itself computes them: the whole sequence is walked, since some look back.</summary>
    private static double[][] Features(IReadOnlyList<ILanguageModel> members, AnswerSet answers, int vocabulary, Func<int, TokenClass> classes)
    {
        var all = new List<double[]>();
        foreach (var request in answers.Requests)
        {
            int[] ids = [.. request.Context.Span, .. request.Continuation.Span];
            ScoreRequest[] whole = [new(ids.AsMemory(0, 1), ids.AsMemory(1))];
            var rows = members.Select(member => member.Rows(whole)).ToArray();
            try
            {
                all.AddRange(Walk(rows, members, ids, request.Context.Length, vocabulary, classes));
            }
            finally
            {
                Array.ForEach(rows, row => row.Dispose());
            }
        }

        return [.. all];
    }

    private static IEnumerable<double[]> Walk(
        ILogitRows[] rows, IReadOnlyList<ILanguageModel> members, int[] ids, int promptLength, int vocabulary, Func<int, TokenClass> classes)
    {
        var (state, next) = (new double[GateFeatures.StateSize(members.Count)], new double[GateFeatures.StateSize(members.Count)]);
        var blocks = members.Select(member => new float[BlockRows * member.VocabularySize]).ToArray();
        var laws = new ReadOnlyMemory<float>[members.Count];
        var tokenLogProbs = new double[members.Count];
        for (var t = 0; t + 1 < ids.Length; t++)
        {
            for (var k = 0; k < members.Count; k++)
            {
                var size = members[k].VocabularySize;
                if (t % BlockRows == 0)
                    rows[k].Read(t, blocks[k].AsSpan(0, Math.Min(BlockRows, ids.Length - 1 - t) * size));
                laws[k] = blocks[k].AsMemory(t % BlockRows * size, vocabulary);
                tokenLogProbs[k] = laws[k].Span[ids[t + 1]] - RowMath.LogSumExp(laws[k].Span);
            }

            if (t + 1 >= promptLength)
                yield return Compute(t + 1, promptLength, classes(ids[t]), state, laws);
            GateFeatures.Observe(state, tokenLogProbs, next);
            (state, next) = (next, state);
        }
    }

    private static double[] Compute(int position, int promptLength, TokenClass last, double[] state, ReadOnlyMemory<float>[] laws)
    {
        var step = new StepContext { Position = position, PromptLength = promptLength, LastClass = last, State = state };
        var features = new double[GateFeatures.Count(laws.Length)];
        GateFeatures.Compute<float>(step, laws, features);
        return features;
    }
}
