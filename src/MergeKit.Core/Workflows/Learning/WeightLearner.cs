using System.Diagnostics;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>Learns weights and judges them: folds of whole examples, standard errors, what each member adds.</summary>
internal static class WeightLearner
{
    private const int BootstrapDraws = 2000;

    /// <summary>Learns from all positions and from every fold's complement.</summary>
    public static LearnedWeights Learn(
        string rule, string method, IReadOnlyList<string> names, IWeightProblem problem, GoldLogProbs scores, AnswerSet answers, int folds)
    {
        var watch = Stopwatch.StartNew();
        folds = RequireFolds(answers, folds);
        var (weights, certificate) = problem.Fit(null);
        var (validated, foldWeights) = CrossValidate(problem, answers.Clusters, folds);
        var nll = -problem.LogProbs(weights).Average();
        var errors = problem.Errors(weights, answers.Clusters);
        var alone = scores.MemberNll();
        double? Without(int k) => problem.Members < 2 ? null : -CrossValidate(problem.Without(k), answers.Clusters, folds).LogProbs.Average();
        MemberWeight[] members = [.. names.Select((name, k) => new MemberWeight(
            name, weights[k], errors[k], foldWeights.Min(row => row[k]), foldWeights.Max(row => row[k]), alone[k], Without(k)))];
        double[] uniform = problem.LogProbs([.. names.Select(_ => 1.0 / names.Count)]);
        LearnComparison[] comparisons =
        [
            Compare("uniform weights", validated, uniform, answers.Clusters),
            Compare("the best single member", validated, BestSingle(scores, answers.Clusters, folds), answers.Clusters),
        ];
        return new LearnedWeights(
            rule, method, members, answers.Examples, answers.Gold.Length, nll, -validated.Average(), certificate, comparisons, watch.Elapsed.TotalSeconds);
    }

    /// <summary>Folds that exist: as many as asked for, at most one per example.</summary>
    public static int RequireFolds(AnswerSet answers, int folds) => answers.Examples >= 2 ? Math.Min(folds, answers.Examples)
        : throw new InputException($"learning needs at least 2 examples, so that they can be told from chance; got {answers.Examples}");

    /// <summary>Every position under weights that have not seen its example; and each fold's weights.</summary>
    public static (double[] LogProbs, double[][] Weights) CrossValidate(IWeightProblem problem, int[] clusters, int folds)
    {
        var (logProbs, weights) = (new double[clusters.Length], new double[folds][]);
        for (var fold = 0; fold < folds; fold++)
        {
            weights[fold] = problem.Fit([.. clusters.Select(example => example % folds != fold)]).Weights;
            var own = problem.LogProbs(weights[fold]);
            for (var t = 0; t < clusters.Length; t++)
                if (clusters[t] % folds == fold)
                    logProbs[t] = own[t];
        }

        return (logProbs, weights);
    }

    /// <summary>Two mixtures by example: the difference of their NLL per token, with the paired bootstrap over examples.</summary>
    public static LearnComparison Compare(string other, double[] learned, double[] compared, int[] clusters)
    {
        var (a, b, tokens) = (new double[clusters[^1] + 1], new double[clusters[^1] + 1], new double[clusters[^1] + 1]);
        for (var t = 0; t < clusters.Length; t++)
        {
            a[clusters[t]] -= learned[t];
            b[clusters[t]] -= compared[t];
            tokens[clusters[t]]++;
        }

        var result = RatioBootstrap.Compare(a, tokens, b, tokens, BootstrapDraws);
        return new LearnComparison(
            other, RatioBootstrap.Ratio(b, tokens), RatioBootstrap.Ratio(a, tokens) - RatioBootstrap.Ratio(b, tokens),
            result?.Percentile95, result?.PValue ?? double.NaN);
    }

    /// <summary>In every fold the member that is best on the others.</summary>
    private static double[] BestSingle(GoldLogProbs scores, int[] clusters, int folds)
    {
        var logProbs = new double[clusters.Length];
        for (var fold = 0; fold < folds; fold++)
        {
            var nll = scores.Select(Enumerable.Range(0, clusters.Length).Where(t => clusters[t] % folds != fold)).MemberNll();
            var best = Enumerable.Range(0, nll.Length).MinBy(k => nll[k]);
            for (var t = 0; t < clusters.Length; t++)
                if (clusters[t] % folds == fold)
                    logProbs[t] = scores[t][best];
        }

        return logProbs;
    }
}
