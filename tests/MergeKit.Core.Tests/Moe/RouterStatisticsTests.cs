using MergeKit.Core.Architectures;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Core.Tests.Moe;

/// <summary>Router figures at their extremes, and what is said about them.</summary>
public class RouterStatisticsTests
{
    private static readonly RoutingSpec Routing = new() { Experts = 4, TopK = 1, Scoring = RouterScoring.Softmax, Normalise = true };

    private static RouterReport Report(RoutingSpec routing, IEnumerable<(double[] Logits, int Domain)> tokens)
    {
        var statistics = new RouterStatistics(routing, [], 2);
        foreach (var (logits, domain) in tokens)
            statistics.Add(logits, domain, domain);
        return new RouterReport("routers", ["a", "b", "c", "d"], ["x", "y"], [statistics.Result(3, 1, labelled: true)]);
    }

    [Fact]
    public void All_tokens_to_one_expert()
    {
        var report = Report(Routing, Enumerable.Range(0, 40).Select(i => (new double[] { 50, 0, 0, 0 }, i % 2)));
        var layer = report.Layers[0];
        Assert.Equal([40, 0, 0, 0], layer.Load);
        Assert.Equal([1, 2, 3], layer.Dead);
        Assert.Equal((3, 4, 0, 1), (layer.MaxViolation, Math.Round(layer.SwitchLoss, 9), Math.Round(layer.MeanEntropy, 9), layer.Accuracy![0]));
        Assert.Equal(0, layer.Accuracy[1]);
        var warnings = report.Warnings().Select(problem => problem.Message).ToList();
        Assert.Equal(3, warnings.Count);
        Assert.Contains("expert 2 ('c') is chosen by none of 40 tokens in layer 3: it is dead there", warnings[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Many_dead_experts_are_one_warning()
    {
        var statistics = new RouterStatistics(Routing with { Experts = 20 }, [], 1);
        for (var token = 0; token < 30; token++)
            statistics.Add([.. Enumerable.Range(0, 20).Select(expert => expert == token % 3 ? 9.0 : 0)], 0, 0);
        var report = new RouterReport("routers", [.. Enumerable.Range(0, 20).Select(i => $"{i}")], ["x"], [statistics.Result(3, 1, labelled: true)]);
        Assert.Equal(
            "routers: 17 of 20 experts are chosen by none of 30 tokens in some layer, where they are dead (17 in layer 3)", Assert.Single(report.Warnings()).Message);
    }

    [Fact]
    public void Balance_is_where_the_losses_are_one()
    {
        var report = Report(Routing with { TopK = 2 }, Enumerable.Range(0, 40).Select(i => (Enumerable.Range(0, 4).Select(e => e == i % 4 ? 1.0 : e == (i + 1) % 4 ? 0.5 : 0).ToArray(), i % 2)));
        var layer = report.Layers[0];
        Assert.Empty(report.Warnings());
        Assert.Equal((0.0, 0.0), (layer.MaxViolation, layer.LoadCv2));
        Assert.Equal((1.0, 1.0), (Math.Round(layer.SwitchLoss, 12), Math.Round(layer.TopKLossNormalised, 12)));
        Assert.Equal(Math.Log(4), layer.EntropyOfMean, 1e-12);
        Assert.All(layer.Together, (row, i) => Assert.Equal((0.5, 0.5, 0.0), (row[(i + 1) % 4], row[(i + 3) % 4], row[i])));
    }

    [Fact]
    public void Gates_that_nearly_repeat_each_other_are_warned_of_and_equal_ones_are_singular()
    {
        double[][] near = [[1, 0, 0], [1, 0.05, 0]];
        Assert.Single(RouterReport.ConditionWarnings([new LayerGates(0, near, []), new LayerGates(1, [[1, 0, 0], [0, 1, 0]], [])]), problem => problem.Message.Contains("in layer 0 ", StringComparison.Ordinal));
        Assert.Equal(double.PositiveInfinity, GateVectors.Condition([[1, 2, 3], [1, 2, 3]]));
        Assert.Equal(1, GateVectors.Condition([[2, 0, 0], [0, 2, 0]]), 1e-12);
    }

    [Fact]
    public void A_scale_fits_the_entropy()
    {
        double[][] logits = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]];
        var scale = GateCalibration.ScaleForEntropy(logits, 0.4);
        Assert.Equal(0.4, GateCalibration.MeanEntropy(logits, scale), 1e-9);
    }

    [Fact]
    public void The_dual_form_of_the_ridge_is_the_primal_one()
    {
        var states = Enumerable.Range(0, 6 * 6).Select(i => Math.Sin(i * 1.7)).ToArray();
        double[][] targets = [[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]];
        var square = RidgeRouter.Solve<double>(states, 6, targets, 0.3);
        var wide = RidgeRouter.Solve<double>([.. Enumerable.Range(0, 6).SelectMany(t => states.Skip(6 * t).Take(6).Append(0))], 7, targets, 0.3);
        Assert.All(square.Zip(wide), pair => Assert.All(pair.First.Append(0).Zip(pair.Second), values => Assert.Equal(values.First, values.Second, 1e-10)));
    }

    /// <summary>Choosing by the bias but weighting without it, in both precisions.</summary>
    [Fact]
    public void A_bias_steers_the_choice_only()
    {
        var (experts, weights) = (new int[1], new double[1]);
        ExpertRouting.Choose<double>(Routing with { Scoring = RouterScoring.Sigmoid, Normalise = false }, [0, 0, 0, 0.5], [0.4, 0.1, 0, -0.1], experts, weights);
        Assert.Equal(3, experts[0]);
        Assert.Equal(1 / (1 + Math.Exp(0.1)), weights[0], 1e-12);
    }

    [Fact]
    public void The_bias_evens_the_load_out()
    {
        var logits = Enumerable.Range(0, 400).Select(i => new[] { 1 + Math.Sin(i), 0.5 * Math.Sin(i * 1.3), 0.4 * Math.Sin(i * 1.7) - 0.5, Math.Sin(i * 2.1) }).ToList();
        var (_, first, _) = BiasBalancing.Fit(logits, 1, 0.001, 1);
        var (_, _, last) = BiasBalancing.Fit(logits, 1, 0.001, 1000);
        Assert.True(first.Max() > 150, $"it began at {first.Max()}");
        Assert.True(last.Max() < 115, $"it ended at {last.Max()}");
    }
}
