using System.Text.Json.Nodes;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Tests.Evaluation;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>Learned weights, distillation, uncertainty, cascades.</summary>
internal sealed class LearningOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("weights.em", Em),
        new("weights.loglinear", LogLinear),
        new("weights.gate", GateCase),
        new("weights.posterior", Posterior),
        new("weights.perplexity", Perplexity),
        new("weights.pack_greedy", PackGreedy),
        new("distill.word", Distill),
        new("uncertainty.members", Uncertainty),
        new("cascade.threshold", Cascade),
    ];

    private static double[][] Rows(JsonNode? node) => [.. node!.AsArray().Select(row => row.Numbers())];

    /// <summary>[positions][members][vocabulary] as one source of logits per member.</summary>
    private static IAnswerLogits[] Members(JsonNode? node)
    {
        var rows = node!.AsArray().Select(Rows).ToArray();
        return [.. Enumerable.Range(0, rows[0].Length).Select(k => new ArrayLogits([.. rows.Select(position => position[k])]))];
    }

    private static int[] Ids(JsonNode? node) => [.. node!.AsArray().Select(id => (int)id!)];

    private static object Em(JsonObject input)
    {
        var scores = GoldLogProbs.Of(Rows(input["logprobs"]));
        var trace = LinearWeights.Trace(scores, input["init"].Numbers(), (int)input["iterations"]!);
        var fit = LinearWeights.Fit(scores);
        return new
        {
            trajectory = trace.Trajectory,
            mean_loglik = trace.MeanLogLikelihood,
            upper_bound_gap = trace.UpperBoundGap,
            optimum = new { weights = fit.Weights, mean_loglik = fit.MeanLogLikelihood, kkt = fit.Kkt },
        };
    }

    private static object LogLinear(JsonObject input)
    {
        var prior = input["prior"] is null ? null : input["prior"].Numbers();
        var objective = new LogLinearObjective(Members(input["rows"]), Ids(input["targets"]), (double?)input["l2"] ?? 0, prior);
        var at = objective.Evaluate(input["start"].Numbers());
        var fit = LogLinearWeights.Fit(objective, start: input["start"].Numbers());
        var hessian = Enumerable.Range(0, objective.Members).Select(j => Enumerable.Range(0, objective.Members).Select(k => at.Hessian![j, k]));
        return new
        {
            at_start = new { value = at.Value, gradient = at.Gradient, hessian },
            optimum = new { lambdas = fit.Lambdas, value = fit.At.Value, nll = fit.At.Nll },
        };
    }

    private static object GateCase(JsonObject input)
    {
        var at = new Gate(Rows(input["w"]), input["b"].Numbers()).Evaluate(Rows(input["features"]), GoldLogProbs.Of(Rows(input["logprobs"])));
        return new
        {
            gates = at.Gates,
            mixture_logprob = at.MixtureLogProbs,
            mean_loglik = at.MeanLogLikelihood,
            grad_w = at.WeightGradient,
            grad_b = at.BiasGradient,
        };
    }

    private static object Posterior(JsonObject input)
    {
        var combiner = new PosteriorCombiner(input["prior"].Numbers(), input["temper"].Number(), input["share"].Number());
        var state = new double[combiner.StateSize];
        combiner.Begin(state);
        var (weights, steps) = (new List<double[]> { Array.ConvertAll(state, Math.Exp) }, new List<double>());
        foreach (var (t, row) in Rows(input["logprobs"]).Index())
        {
            var next = new double[state.Length];
            var step = new StepContext { Position = t, State = state };
            steps.Add(combiner.LogProb(step, row));
            combiner.Observe(step, row, next);
            state = next;
            weights.Add(Array.ConvertAll(state, Math.Exp));
        }

        return new { weights, step_logprob = steps, sequence_logprob = steps.Sum() };
    }

    private static object Perplexity(JsonObject input)
    {
        var nll = Rows(input["prompt_logprobs"]).Select(row => -row.Average()).ToArray();
        return new { perplexities = nll.Select(Math.Exp), weights = PerplexityCombiner.Weights(nll, input["tau"].Number()) };
    }

    private static object PackGreedy(JsonObject input)
    {
        var result = PackLlmWeights.Greedy(Members(input["rows"]), Ids(input["targets"]), (int)input["steps"]!);
        return new
        {
            member_nll = result.MemberNll,
            order = result.Order,
            trace = result.Steps.Select(step => new { member = step.Member, keep = step.Keep, nll = step.Nll }),
            weights = result.Weights,
        };
    }

    private static object Distill(JsonObject input)
    {
        var temperature = input["temperature"].Number();
        var teacher = WordDistillation.Teacher(Rows(input["members"]), input["weights"].Numbers(), temperature);
        var loss = WordDistillation.Of(teacher, input["student"].Numbers(), (int)input["gold"]!, temperature, input["alpha"].Number());
        return new { teacher_logprobs = teacher, kl = loss.Kl, cross_entropy = loss.CrossEntropy, gold_nll = loss.GoldNll, loss = loss.Loss };
    }

    private static object Uncertainty(JsonObject input)
    {
        var result = MemberUncertainty.Of(Rows(input["probabilities"]));
        return new
        {
            mean = result.Mean,
            predictive_entropy = result.PredictiveEntropy,
            expected_entropy = result.ExpectedEntropy,
            mutual_information = result.MutualInformation,
            votes = result.Votes,
        };
    }

    private static object Cascade(JsonObject input)
    {
        var curve = CascadeCurve.Of(
            input["confidence"].Numbers(), input["small_correct"].Numbers(), input["large_correct"].Numbers(), input["small_cost"].Number(), input["large_cost"].Number());
        static object? Show(CascadePoint? point) => point is null ? null : new { threshold = point.Threshold, accuracy = point.Accuracy, cost = point.Cost };
        return new
        {
            curve = curve.Points.Select(Show),
            for_target = input["target_accuracy"] is null ? null : Show(curve.ForAccuracy(input["target_accuracy"].Number())),
            for_budget = input["budget"] is null ? null : Show(curve.ForBudget(input["budget"].Number())),
        };
    }
}
