using MergeKit.Core.Ensembles.Learning;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>A kind of weights to be learned from answers: what cross-validation and leaving members out need of it.</summary>
internal interface IWeightProblem
{
    int Members { get; }

    /// <summary>The best weights over the chosen positions (null: all), with what certifies them.</summary>
    (double[] Weights, string Certificate) Fit(bool[]? chosen);

    /// <summary>ln p of every gold token under the weights.</summary>
    double[] LogProbs(double[] weights);

    /// <summary>Standard errors of the weights, examples as clusters; null where a weight has none.</summary>
    double?[] Errors(double[] weights, int[] clusters);

    /// <summary>The same problem without one member.</summary>
    IWeightProblem Without(int member);
}

/// <summary>A linear mixture: needs the gold tokens' log-probabilities alone.</summary>
internal sealed class LinearProblem(GoldLogProbs scores) : IWeightProblem
{
    public int Members => scores.Members;

    public (double[] Weights, string Certificate) Fit(bool[]? chosen)
    {
        var fit = LinearWeights.Fit(chosen is null ? scores : scores.Select(Enumerable.Range(0, scores.Positions).Where(t => chosen[t])));
        return (fit.Weights, $"EM: at most {Math.Max(0, fit.Gap):0.0e+0} nats per token from the optimum after {fit.Iterations} steps");
    }

    public double[] LogProbs(double[] weights) => scores.Mix(weights);

    public double?[] Errors(double[] weights, int[] clusters) => WeightErrors.Linear(scores, weights, clusters);

    public IWeightProblem Without(int member) => new LinearProblem(scores.Select(members: Others(Members, member)));

    public static int[] Others(int count, int member) => [.. Enumerable.Range(0, count).Where(k => k != member)];
}

/// <summary>A log-linear mixture: Newton's method over rows that are read anew at every step.</summary>
internal sealed class LogLinearProblem(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> gold, double l2, double[]? start = null) : IWeightProblem
{
    private readonly LogLinearObjective _objective = new(members, gold, l2);
    private double[]? _optimum = start;

    public int Members => members.Count;

    public (double[] Weights, string Certificate) Fit(bool[]? chosen)
    {
        var fit = LogLinearWeights.Fit(_objective, chosen, _optimum, tolerance: 1e-6);
        _optimum ??= fit.Lambdas; // where later fits, of folds or without a member, begin
        var method = Members <= LogLinearWeights.NewtonMembers ? "Newton" : "L-BFGS";
        return (fit.Lambdas, $"{method}: largest gradient {fit.At.Gradient.Max(Math.Abs):0.0e+0} after {fit.Iterations} steps{(fit.Converged ? "" : " (not converged)")}");
    }

    public double[] LogProbs(double[] weights) => _objective.PerPosition(weights).LogProbs;

    public double?[] Errors(double[] weights, int[] clusters) =>
        WeightErrors.LogLinear(_objective.Evaluate(weights), _objective.PerPosition(weights).Scores, clusters);

    public IWeightProblem Without(int member) => new LogLinearProblem(
        [.. LinearProblem.Others(Members, member).Select(k => members[k])], gold, l2, _optimum is null ? null : [.. LinearProblem.Others(Members, member).Select(k => _optimum[k])]);
}

/// <summary>PackLLM's weights, learned once instead of from each prompt: by similarity, or by the greedy search.</summary>
internal sealed class PackProblem(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> gold, bool greedy) : IWeightProblem
{
    private const int GridSteps = 20;
    private readonly LogLinearObjective _objective = new(members, gold);

    public int Members => members.Count;

    public (double[] Weights, string Certificate) Fit(bool[]? chosen)
    {
        int[] kept = [.. Enumerable.Range(0, gold.Count).Where(t => chosen?[t] != false)];
        if (!greedy)
            return (Ensembles.Combiners.PerplexityCombiner.Weights(_objective.Gold().Select(kept).MemberNll(), 1), "softmax(-NLL)");
        var result = PackLlmWeights.Greedy([.. members.Select(member => new SelectedLogits(member, kept))], [.. kept.Select(t => gold[t])], GridSteps);
        return (result.Weights, $"greedy search on a grid of {GridSteps} steps");
    }

    public double[] LogProbs(double[] weights) => _objective.PerPosition(weights).LogProbs;

    public double?[] Errors(double[] weights, int[] clusters) => new double?[Members];

    public IWeightProblem Without(int member) => new PackProblem([.. LinearProblem.Others(Members, member).Select(k => members[k])], gold, greedy);

    /// <summary>Some positions of another source, in rising order.</summary>
    private sealed class SelectedLogits(IAnswerLogits inner, int[] positions) : IAnswerLogits
    {
        public int Positions => positions.Length;

        public int VocabularySize => inner.VocabularySize;

        public void Read(int first, int count, Span<double> logits)
        {
            for (var done = 0; done < count;)
            {
                var run = 1;
                while (done + run < count && positions[first + done + run] == positions[first + done] + run)
                    run++;
                inner.Read(positions[first + done], run, logits.Slice(done * VocabularySize, run * VocabularySize));
                done += run;
            }
        }
    }
}
