using MergeKit.Core.Numerics;
using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>The trimming of breadcrumbs and della, exactly: by sorting everything, and by asking the same random words.</summary>
public class BreadcrumbsAndDellaTests
{
    private static readonly double[] Weights = [0.75, 0.5, 0.25]; // with coarse entries all sums are exact, so signs are too

    [Theory]
    [InlineData(40003, 0.4, 0.05)]
    [InlineData(40003, 0.98, 0.05)]
    [InlineData(40003, 1.0, 0.3)]
    [InlineData(40003, 0.5, 0.0)]
    [InlineData(40003, 0.0, 0.1)]
    [InlineData(37, 0.6, 0.01)]
    [InlineData(37, 0.6, 0.2)]
    [InlineData(1, 0.6, 0.2)]
    public void Breadcrumbs_drops_outliers_and_crumbs(int count, double density, double gamma)
    {
        var origin = Rounded(Random(count, 1), new float[count]);
        var tuned = Enumerable.Range(0, 3).Select(i => Rounded(FineTune(origin, 10 + i, 0.05, 0.2 * i), origin)).ToArray();
        foreach (var (method, consensus) in new[] { ("breadcrumbs", false), ("breadcrumbs_ties", true) })
        {
            var bench = new MethodBench(method, count).Base(origin).With("lambda", 0.8);
            for (var i = 0; i < 3; i++)
                bench.Model(tuned[i], ("weight", Weights[i]), ("density", density), ("gamma", gamma));
            var trimmed = tuned.Select(model => Delta(model, origin)).Select(delta => density >= 1 ? delta : SelectionReference.Breadcrumbs(delta, density, gamma)).ToArray();
            Close(Sum((1, Wide(origin)), (0.8, SelectionReference.Merge(trimmed, Weights, consensus, false))), bench.Run(), 1e-6, 1e-6);
        }
    }

    [Theory]
    [InlineData("30011,7", 0.4, 0.1)]
    [InlineData("3,30011", 0.7, 0.25)]
    [InlineData("9001", 0.5, 0.3)]
    [InlineData("40,300", 0.3, 0.0)]
    [InlineData("40,1", 0.3, 0.1)]
    [InlineData("6,40,5", 0.3, 0.1)]
    [InlineData("50,70", 0.0, 0.1)]
    [InlineData("50,70", 1.0, 0.5)]
    public void Della_keeps_by_rank(string extents, double density, double epsilon)
    {
        long[] shape = [.. extents.Split(',').Select(long.Parse)];
        var origin = Random((int)shape.Aggregate(1L, (a, b) => a * b), 1);
        origin = Rounded(origin, new float[origin.Length]);
        var tuned = Enumerable.Range(0, 3).Select(i => Rounded(FineTune(origin, 20 + i, 0.05, 0.1), origin)).ToArray();
        foreach (var (method, consensus) in new[] { ("della_linear", false), ("della", true) })
        {
            var bench = new MethodBench(method, shape).Base(origin);
            for (var i = 0; i < 3; i++)
                bench.Model(tuned[i], ("weight", Weights[i]), ("density", density), ("epsilon", epsilon));
            Assert.Empty(bench.Method.Check(bench.Job()));
            var trimmed = tuned.Select((model, i) =>
            {
                var delta = Delta(model, origin);
                return density >= 1 ? delta : SelectionReference.Rescaled(delta, Ranked(delta, shape, density, epsilon, new CounterRandom(bench.Seed, bench.Name, i + 1)));
            }).ToArray();
            Close(Sum((1, Wide(origin)), (1, SelectionReference.Merge(trimmed, Weights, consensus, consensus))), bench.Run(), 2e-6, 2e-6);
        }
    }

    [Fact]
    public void Della_keeps_large_entries_more_often()
    {
        const int rows = 200, columns = 1000;
        var (origin, tuned) = (new float[rows * columns], Random(rows * columns, 3));
        var result = new MethodBench("della_linear", rows, columns).Base(origin)
            .Model(tuned, ("weight", 1), ("density", 0.5), ("epsilon", 0.2)).With("rescale", 0).Run();
        Assert.All(Enumerable.Range(0, result.Length), i => Assert.True(result[i] == 0 || result[i] == tuned[i]));
        var upper = Enumerable.Range(0, rows).Sum(row => SelectionReference.Ascending(Wide([.. tuned[(row * columns)..((row + 1) * columns)].Select(Math.Abs)]))
            .Skip(columns / 2).Count(i => result[row * columns + i] != 0));
        Assert.InRange(upper / (rows * columns / 2.0), 0.59, 0.61); // mean of 0.5 .. 0.7
        Assert.InRange(result.Count(value => value != 0) / (double)result.Length, 0.495, 0.505);
    }

    [Theory]
    [InlineData(0.1, 0.15, true)]
    [InlineData(0.9, 0.15, true)]
    [InlineData(0.5, -0.1, true)]
    [InlineData(0.5, 0.15, false)]
    [InlineData(1.0, 0.15, false)]
    [InlineData(0.0, 0.15, false)]
    public void Della_refuses_probabilities_outside_zero_to_one(double density, double epsilon, bool refused)
    {
        var bench = new MethodBench("della", 4).Base(new float[4]).Model(new float[4], ("weight", 1), ("density", density), ("epsilon", epsilon));
        Assert.Equal(refused, bench.Method.Check(bench.Job()).Any(complaint => complaint.Contains("epsilon", StringComparison.Ordinal)));
    }

    [Fact]
    public void Breadcrumbs_refuses_an_impossible_gamma()
    {
        var bench = new MethodBench("breadcrumbs", 4).Base(new float[4]).Model(new float[4], ("weight", 1), ("density", 0.5), ("gamma", 1.5));
        Assert.Contains("gamma", Assert.Single(bench.Method.Check(bench.Job())), StringComparison.Ordinal);
    }

    /// <summary>Coarse differences, so that many entries are equal and ties decide.</summary>
    private static float[] Rounded(float[] model, float[] origin) =>
        [.. model.Select((value, i) => origin[i] + MathF.Round((value - origin[i]) * 256) / 256)];

    /// <summary>MagPrune by sorting each line along axis 1.</summary>
    private static double[] Ranked(double[] delta, long[] shape, double density, double epsilon, CounterRandom random)
    {
        var result = new double[delta.Length];
        if (density <= 0)
            return result;
        var words = new uint[delta.Length];
        random.Fill(0, words);
        var length = shape.Length < 2 ? delta.Length : (int)shape[1];
        var inner = shape.Length < 2 ? 1 : (int)shape.Skip(2).Aggregate(1L, (a, b) => a * b);
        for (var line = 0; line < delta.Length / length; line++)
        {
            int At(int j) => line / inner * length * inner + j * inner + line % inner;
            var order = SelectionReference.Ascending([.. Enumerable.Range(0, length).Select(j => Math.Abs(delta[At(j)]))]);
            for (var rank = 0; rank < length; rank++)
            {
                var probability = length == 1 ? density : density - epsilon + 2 * epsilon * rank / (length - 1);
                var at = At(order[rank]);
                result[at] = words[at] < Math.Round(probability * 4294967296.0) ? delta[at] : 0;
            }
        }

        return result;
    }
}
