using MergeKit.Core.Diagnostics;
using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>nuslerp, multislerp, karcher and model_stock against their formulas in double precision.</summary>
public class SphereMethodTests
{
    public static TheoryData<string> Shapes => ["1", "37", "5,1", "1,50000", "3,40001", "301,129", "40001,2", "7,5,33"];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Nuslerp_turns_whole_tensors_rows_and_columns(string extents)
    {
        long[] shape = [.. extents.Split(',').Select(long.Parse)];
        var count = (int)shape.Aggregate(1L, (a, b) => a * b);
        var (a, b, origin) = (Random(count, 1, 0.5, 3), Random(count, 2, 0.5, 2), Random(count, 3, 0.5)); // no nearly opposite rows
        foreach (var (flatten, firstAxis, hasBase) in new[] { (1, 0, false), (0, 0, false), (0, 1, false), (1, 0, true), (0, 0, true), (0, 1, true) })
        {
            var bench = new MethodBench("nuslerp", shape).Model(a, ("weight", 0.3)).Model(b, ("weight", 0.9)).With("nuslerp_flatten", flatten).With("nuslerp_row_wise", firstAxis);
            if (hasBase)
                bench.Base(origin);
            var (whole, length) = (flatten == 1 || shape.Length < 2, (int)(firstAxis == 1 ? shape[0] : shape[^1]));
            var (x, y) = hasBase ? (Delta(a, origin), Delta(b, origin)) : (Wide(a), Wide(b));
            var expected = ByLine(x, y, whole ? null : firstAxis == 1, length, (v, w) => SphereReference.NuSlerp(v, w, 0.3, 0.9));
            Close(hasBase ? Sum((1, Wide(origin)), (1, expected)) : expected, bench.Run(), 4e-6, 4e-6);
        }
    }

    [Fact]
    public void Nuslerp_knows_weights_that_cancel_parallel_opposite_and_zero_vectors()
    {
        var a = Random(1000, 4);
        var b = Random(1000, 5);
        Close(SphereReference.NuSlerp(Wide(a), Wide(b), 1, 1), new MethodBench("nuslerp", 1000).Model(a, ("weight", 1)).Model(b, ("weight", -1)).Run());
        Close(Wide(a), new MethodBench("nuslerp", 1000).Model(a, ("weight", 1)).Model(a, ("weight", 3)).Run());
        var opposite = Array.ConvertAll(a, value => -value);
        Close(Sum((0.5, Wide(a))), new MethodBench("nuslerp", 1000).Model(a, ("weight", 3)).Model(opposite, ("weight", 1)).Run());
        var zero = new float[1000];
        Close(SphereReference.NuSlerp(Wide(a), Wide(zero), 3, 1), new MethodBench("nuslerp", 1000).Model(a, ("weight", 3)).Model(zero, ("weight", 1)).Run());
        Assert.Equal(a, new MethodBench("nuslerp", 1000).Base(a).Model(a, ("weight", 3)).Model(a, ("weight", 1)).Run());
        Assert.Equal(a, new MethodBench("nuslerp", 1000).Model(a, ("weight", 3)).Run());
    }

    [Fact]
    public void Nuslerp_refuses_any_number_of_models_but_two()
    {
        var a = Random(4, 4);
        var three = new MethodBench("nuslerp", 4).Model(a, ("weight", 1)).Model(a, ("weight", 1)).Model(a, ("weight", 1));
        Assert.Contains("exactly two", Assert.Single(three.Method.Check(three.Job())), StringComparison.Ordinal);
        var baseIsOne = new MethodBench("nuslerp", 4).Base(a).Model(a, ("weight", 1));
        Assert.Contains("base", Assert.Single(baseIsOne.Method.Check(baseIsOne.Job())), StringComparison.Ordinal);
        var two = new MethodBench("nuslerp", 4).Base(a).Model(a, ("weight", 1)).Model(a, ("weight", 1));
        Assert.Empty(two.Method.Check(two.Job()));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(50001, false)]
    [InlineData(50001, true)]
    public void Multislerp_averages_directions(int count, bool normalize)
    {
        float[][] models = [Random(count, 1, 1, 0.1), Random(count, 2, 2, 0.3), Random(count, 3, 0.5), Random(count, 4)];
        double[] weights = [0.5, 0.2, 0.9, 0.1];
        var used = normalize ? Array.ConvertAll(weights, w => w / weights.Sum()) : weights;
        var origin = Random(count, 9);
        MethodBench Bench() => models.Select((m, i) => (m, i)).Aggregate(
            new MethodBench("multislerp", count).With("normalize_weights", normalize ? 1 : 0), (bench, one) => bench.Model(one.m, ("weight", weights[one.i])));
        Close(SphereReference.MultiSlerp([.. models.Select(Wide)], used, 1e-8), Bench().Run());
        var expected = SphereReference.MultiSlerp([.. models.Select(m => Delta(m, origin))], used, 1e-8);
        Close(Sum((1, Wide(origin)), (1, expected)), Bench().Base(origin).Run());
    }

    [Fact]
    public void Multislerp_leaves_frozen_tensors_alone_and_names_a_tensor_without_direction()
    {
        var (a, b) = (Random(3001, 1), Random(3001, 2));
        var opposite = Array.ConvertAll(a, value => -value);
        Assert.Equal(a, new MethodBench("multislerp", 3001).Base(a).Model(a, ("weight", 1)).Model(a, ("weight", 1)).Model(a, ("weight", 1)).Run());
        Assert.Equal(b, new MethodBench("multislerp", 3001).Model(b, ("weight", 0.2)).Run());
        Assert.Equal(new float[3001], new MethodBench("multislerp", 3001).Model(a, ("weight", 1)).Model(opposite, ("weight", 1)).Run());
        var zero = new float[3001];
        var three = new MethodBench("multislerp", 3001) { Name = "some.weight" }.Model(a, ("weight", 1)).Model(opposite, ("weight", 1)).Model(zero, ("weight", 1));
        Assert.Contains("some.weight", Assert.Throws<InputException>(() => three.Run()).Message, StringComparison.Ordinal);
        var noSum = new MethodBench("multislerp", 3001).Model(a, ("weight", 1)).Model(b, ("weight", -1));
        Assert.Contains("add up to 0", Assert.Single(noSum.Method.Check(noSum.Job())), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 0.3)]
    [InlineData(9, 0.3)]
    [InlineData(40003, 0)]
    [InlineData(40003, 3)]
    public void Karcher_finds_the_mean_on_the_sphere(int count, double mean)
    {
        float[][] models = [Random(count, 1, 1, mean), Random(count, 2, 2, mean), Random(count, 3, 0.5, mean)];
        var bench = models.Aggregate(new MethodBench("karcher", count), (bench, model) => bench.Model(model));
        Close(SphereReference.Karcher([.. models.Select(Wide)]), bench.Run());
        Close(SphereReference.Karcher([.. models.Select(Wide)], 2, 1e-3), bench.With("max_iter", 2).With("tol", 1e-3).Run());
        bench.Model(new float[count]);
        Close(SphereReference.Karcher([.. models.Select(Wide), new double[count]], 2, 1e-3), bench.Run());
    }

    [Fact]
    public void Karcher_of_near_copies_opposites_and_zeros()
    {
        var a = Random(20001, 1);
        float[][] near = [a, FineTune(a, 2, 1e-3), FineTune(a, 3, 1e-3)];
        Close(SphereReference.Karcher([.. near.Select(Wide)]), near.Aggregate(new MethodBench("karcher", 20001), (bench, model) => bench.Model(model)).Run());
        var opposite = Array.ConvertAll(a, value => -value);
        Assert.All(new MethodBench("karcher", 20001).Model(a).Model(opposite).Run(), value => Assert.True(float.IsFinite(value)));
        Assert.Equal(new float[20001], new MethodBench("karcher", 20001).Model(new float[20001]).Model(new float[20001]).Run());
        Assert.Equal(a, new MethodBench("karcher", 20001).Model(a).Run());
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Model_stock_goes_as_far_as_the_angles_say(int models)
    {
        long[] shape = [130, 401];
        var origin = Random(130 * 401, 1);
        var common = FineTune(origin, 2);
        var tuned = Enumerable.Range(0, models).Select(i => FineTune(common, 10 + i)).ToArray();
        var bench = tuned.Aggregate(new MethodBench("model_stock", shape), (bench, model) => bench.Model(model)).Base(origin);
        double[] Expected(int from, int count)
        {
            var part = tuned.Select(model => Wide(model[from..(from + count)])).ToArray();
            var start = Wide(origin[from..(from + count)]);
            var t = SphereReference.StockRatio([.. tuned.Select(model => Delta(model[from..(from + count)], origin[from..(from + count)]))]);
            return Sum([(1 - t, start), .. part.Select(p => (t / models, p))]);
        }

        Close(Expected(0, origin.Length), bench.Run());
        Close([.. Enumerable.Range(0, 130).SelectMany(row => Expected(row * 401, 401))], bench.With("filter_wise", 1).Run());
    }

    [Fact]
    public void Model_stock_stays_at_the_base_where_nothing_changed_or_nothing_is_common()
    {
        var origin = Random(501, 1);
        var up = Array.ConvertAll(origin, value => value + 0.25f);
        var down = Array.ConvertAll(origin, value => value - 0.25f);
        Assert.Equal(origin, new MethodBench("model_stock", 501).Base(origin).Model(origin).Model(origin).Run());
        Assert.Equal([1f], new MethodBench("model_stock").Base([1f]).Model([1.5f]).Model([0.5f]).Run());
        Close(Wide(up), new MethodBench("model_stock", 501).Base(origin).Model(up).Model(up).Run());
        Assert.All(new MethodBench("model_stock", 501).Base(origin).Model(up).Model(down).Run(), value => Assert.True(float.IsFinite(value)));
    }

    /// <summary>Applies a function of two vectors to the whole (null), to rows (false) or to lines along the first axis (true).</summary>
    private static double[] ByLine(double[] x, double[] y, bool? firstAxis, int length, Func<double[], double[], double[]> function)
    {
        if (firstAxis is null)
            return function(x, y);
        var (result, lines) = (new double[x.Length], x.Length / length);
        for (var line = 0; line < lines; line++)
        {
            int At(int i) => firstAxis.Value ? i * lines + line : line * length + i;
            var merged = function([.. Enumerable.Range(0, length).Select(i => x[At(i)])], [.. Enumerable.Range(0, length).Select(i => y[At(i)])]);
            for (var i = 0; i < length; i++)
                result[At(i)] = merged[i];
        }

        return result;
    }
}
