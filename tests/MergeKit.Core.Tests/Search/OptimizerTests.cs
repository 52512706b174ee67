using MergeKit.Core.Search;
using MergeKit.Core.Search.Strategies;

namespace MergeKit.Core.Tests.Search;

/// <summary>CMA-ES and NSGA-II on the problems of the literature.</summary>
public class OptimizerTests
{
    public static TheoryData<string, int, int, double> Problems => new()
    {
        { "sphere", 10, 1500, 1e-8 },
        { "ellipsoid", 8, 6000, 1e-6 },
        { "rosenbrock", 5, 6000, 1e-5 },
        { "corner", 4, 800, 1e-6 },
    };

    /// <summary>Shifted and scaled so that the optimum is 0 and lies in the unit cube; the corner's at its edge.</summary>
    private static double Evaluate(string problem, double[] x) => problem switch
    {
        "sphere" => x.Sum(v => (v - 0.7) * (v - 0.7)),
        "ellipsoid" => x.Select((v, i) => Math.Pow(1e4, i / (x.Length - 1.0)) * (v - 0.3) * (v - 0.3)).Sum(),
        "rosenbrock" => Enumerable.Range(0, x.Length - 1).Sum(i => (100 * Math.Pow((2 * x[i + 1]) - (4 * x[i] * x[i]), 2)) + Math.Pow(1 - (2 * x[i]), 2)),
        _ => x.Sum(),
    };

    [Theory]
    [MemberData(nameof(Problems))]
    public void Cma_es_solves(string problem, int dimension, int budget, double tolerance)
    {
        var optimizer = new CmaEs([.. Enumerable.Repeat(0.5, dimension)], 0.2, null, new SearchRandom(1, 0));
        var best = double.PositiveInfinity;
        for (var used = 0; used < budget && best > tolerance; used += optimizer.Population)
        {
            var points = optimizer.Ask();
            Assert.All(points, point => Assert.All(point, value => Assert.InRange(value, 0, 1)));
            double[] objectives = [.. points.Select(point => Evaluate(problem, point))];
            best = Math.Min(best, objectives.Min());
            optimizer.Tell(points, objectives);
        }

        Assert.InRange(best, 0, tolerance);
    }

    [Fact]
    public void Cma_es_survives_infinite_objectives()
    {
        var optimizer = new CmaEs([0.5, 0.5], 0.2, 6, new SearchRandom(1, 0));
        for (var generation = 0; generation < 60; generation++)
        {
            var points = optimizer.Ask();
            optimizer.Tell(points, [.. points.Select(point => point[0] > 0.5 ? double.PositiveInfinity : Math.Abs(point[0] - 0.4) + point[1])]);
        }

        Assert.All(optimizer.Ask(), point => Assert.InRange(Math.Abs(point[0] - 0.4) + point[1], 0, 0.05));
    }

    [Fact]
    public void Random_numbers_are_a_function_of_seed_stream_and_position()
    {
        double[] Draw(ulong seed, ulong stream) => [.. Enumerable.Repeat(new SearchRandom(seed, stream), 1000).Select(random => random.Normal())];
        Assert.Equal(Draw(1, 2), Draw(1, 2));
        Assert.NotEqual(Draw(1, 2), Draw(2, 2));
        Assert.NotEqual(Draw(1, 2), Draw(1, 3));
        Assert.InRange(Draw(1, 2).Average(), -0.12, 0.12);
        Assert.InRange(Draw(1, 2).Average(value => value * value), 0.85, 1.15);
    }

    /// <summary>ZDT1 (Zitzler, Deb and Thiele 2000): the front is f2 = 1 - sqrt(f1).</summary>
    [Fact]
    public void Nsga2_comes_near_the_front_of_zdt1_and_spreads_over_it()
    {
        var optimizer = new Nsga2(6, 40, new SearchRandom(4, 0));
        var all = new List<Nsga2.Member>();
        for (var generation = 0; generation < 120; generation++)
        {
            Nsga2.Member[] members = [.. optimizer.Ask().Select(point =>
            {
                var g = 1 + (9 * point.Skip(1).Average());
                return new Nsga2.Member(point, [point[0], g * (1 - Math.Sqrt(point[0] / g))]);
            })];
            all.AddRange(members);
            optimizer.Tell(members);
        }

        var front = Nsga2.Fronts(all).First();
        Assert.InRange(front.Average(member => member.Objectives[1] - (1 - Math.Sqrt(member.Objectives[0]))), 0, 0.08);
        Assert.InRange(front.Max(member => member.Objectives[0]) - front.Min(member => member.Objectives[0]), 0.8, 1);
    }

    [Fact]
    public void Fronts_are_peeled_one_by_one()
    {
        Nsga2.Member At(double a, double b) => new([], [a, b]);
        var fronts = Nsga2.Fronts([At(2, 2), At(1, 3), At(3, 1), At(3, 3), At(2, 3), At(4, 4)]).Select(front => front.Select(member => (member.Objectives[0], member.Objectives[1])).ToList()).ToList();
        Assert.Equal([[(2, 2), (1, 3), (3, 1)], [(2, 3)], [(3, 3)], [(4, 4)]], fronts);
    }
}
