using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>sce, arcee_fusion, ram, ramplus_tl and nearswap against their formulas.</summary>
public class SelectionMethodTests
{
    [Theory]
    [InlineData(40003, 1.0)]
    [InlineData(40003, 0.3)]
    [InlineData(40003, 0.0)]
    [InlineData(37, 0.5)]
    [InlineData(1, 0.5)]
    public void Sce_selects_by_variance(int count, double topk)
    {
        var origin = Random(count, 1);
        float[][] tuned = [FineTune(origin, 2), FineTune(origin, 3, 0.1, 0.5), FineTune(origin, 4, 0.02, 0.9)];
        var bench = tuned.Aggregate(new MethodBench("sce", count).Base(origin).With("select_topk", topk), (bench, model) => bench.Model(model));
        Close(Sum((1, Wide(origin)), (1, SelectionReference.Sce([.. tuned.Select(model => Delta(model, origin))], topk))), bench.Run());
    }

    [Fact]
    public void Sce_keeps_the_lower_index_of_equal_variances()
    {
        var (origin, changed) = (new float[20000], Enumerable.Repeat(0.5f, 20000).ToArray());
        var result = new MethodBench("sce", 20000).Base(origin).Model(changed).Model(origin).With("select_topk", 0.25).Run();
        Assert.Equal(Enumerable.Range(0, 20000).Select(i => i < 5000 ? 0.5f : 0), result);
    }

    [Fact]
    public void Sce_of_one_model_is_that_model_and_small_changes_are_weighed_too()
    {
        var origin = Random(900, 1);
        Close(Wide(FineTune(origin, 2)), new MethodBench("sce", 900).Base(origin).Model(FineTune(origin, 2)).With("select_topk", 0.3).Run());
        float[] zero = new float[900], one = [.. Enumerable.Repeat(1e-5f, 900)], three = [.. Enumerable.Repeat(3e-5f, 900)];
        Close([.. Enumerable.Repeat(2.8e-5, 900)], new MethodBench("sce", 900).Base(zero).Model(one).Model(three).Run(), 1e-6, 0);
    }

    [Theory]
    [InlineData("301,129", 0.0)]
    [InlineData("2,30011", 0.0)]
    [InlineData("20011", 0.3)]
    [InlineData("60,40", 0.9)]
    [InlineData("500,1", 0.0)]
    public void Arcee_fusion_takes_what_is_above_the_threshold(string extents, double zeros)
    {
        long[] shape = [.. extents.Split(',').Select(long.Parse)];
        var origin = Random((int)shape.Aggregate(1L, (a, b) => a * b), 1);
        var tuned = FineTune(origin, 2, 0.3, zeros);
        var importance = SelectionReference.Importance(tuned, origin, (int)shape[^1]);
        var sorted = importance.Order().ToArray();
        double Quantile(double x) => sorted[(int)(x * (sorted.Length - 1))];
        var threshold = Quantile(0.5) + 1.5 * (Quantile(0.75) - Quantile(0.25));
        var result = new MethodBench("arcee_fusion", shape).Base(origin).Model(tuned).Run();
        for (var i = 0; i < result.Length; i++)
            if (Math.Abs(importance[i] - threshold) > 1e-6 * threshold || threshold == 0)
                Assert.Equal(importance[i] >= threshold ? tuned[i] : origin[i], result[i]);
        Assert.InRange(result.Where((value, i) => Math.Abs(importance[i] - threshold) <= 1e-6 * threshold).Count(), 0, threshold == 0 ? result.Length : result.Length / 1000 + 1);
    }

    [Fact]
    public void Arcee_fusion_does_not_mind_enormous_weights()
    {
        float[] origin = [800, -900, 3, 4], tuned = [801, -900, 3, 4];
        Assert.Equal(tuned, new MethodBench("arcee_fusion", 2, 2).Base(origin).Model(tuned).Run());
    }

    [Theory]
    [InlineData(40003, 1e-5, 0.1, 0.2)]
    [InlineData(40003, 0.03, 0.5, 4)]
    [InlineData(5, 0.03, 2, 0)]
    public void Ram_averages_the_shared_and_takes_the_rest(int count, double epsilon, double r, double alpha)
    {
        var origin = Random(count, 1);
        float[][] tuned = [FineTune(origin, 2, 0.05, 0.6), FineTune(origin, 3, 0.05, 0.8), FineTune(origin, 4, 0.05, 0.3)];
        double[][] deltas = [.. tuned.Select(model => Delta(model, origin))];
        var ram = tuned.Aggregate(new MethodBench("ram", count).Base(origin).With("epsilon", epsilon), (bench, model) => bench.Model(model));
        Close(Sum((1, Wide(origin)), (1, SelectionReference.Ram(deltas, epsilon, 0, 0))), ram.Run());
        var plus = tuned.Aggregate(new MethodBench("ramplus_tl", count).Base(origin).With("epsilon", epsilon).With("r", r).With("alpha", alpha), (bench, model) => bench.Model(model));
        Close(Sum((1, Wide(origin)), (1, SelectionReference.Ram(deltas, epsilon, r, alpha))), plus.Run());
        Assert.Equal(origin, new MethodBench("ramplus_tl", count).Base(origin).Model(origin).Run());
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.0)]
    [InlineData(10.0)]
    public void Nearswap_moves_by_at_most_t(double t)
    {
        var (origin, other) = (Random(5001, 1), FineTune(Random(5001, 1), 2, 0.05, 0.3));
        var expected = origin.Select((value, i) =>
        {
            var factor = Math.Clamp(t / Math.Max(Math.Abs((double)value - other[i]), 1e-6), 0, 1);
            return factor * other[i] + (1 - factor) * value;
        }).ToArray();
        var bench = new MethodBench("nearswap", 5001).Base(origin).Model(other).With("t", t);
        Close(expected, bench.Run(), 5e-7, 5e-7);
        Assert.Equal(t == 10 ? other : t == 0 ? origin : bench.Run(), bench.Run());
        Assert.NotEmpty(bench.Method.Check(bench.With("t", -1).Job()));
    }
}
