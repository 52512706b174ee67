using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;
using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>Every method gives the same bits for any number of threads, chunk size and part size.</summary>
public class DeterminismTests
{
    public static TheoryData<string> Methods => [.. MethodCatalog.All.Select(method => method.Description.Name)];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Bits_depend_on_neither_threads_nor_chunks(string method)
    {
        foreach (var shape in new long[][] { [3, 30011], [701, 97], [35003] })
        {
            var bench = Bench(method, shape);
            var expected = bench.Run(1, TensorInputs.BlockElements, TensorInputs.BlockElements);
            Assert.All(expected, value => Assert.True(float.IsFinite(value)));
            foreach (var (threads, chunk, part) in new[] { (2, 2, 1000), (8, 1, 2048), (8, 4, 777), (1, 3, 2048) })
                Assert.Equal(expected, bench.Run(threads, chunk * TensorInputs.BlockElements, part));
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void A_frozen_tensor_comes_out_as_it_was(string method)
    {
        var values = Random(2000, 3);
        var bench = Frozen(method, values, 40, 50);
        Close(Wide(values), bench.Run(), 1e-6, 1e-6);
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void An_empty_tensor_is_no_trouble(string method) => Assert.Empty(Frozen(method, [], 0, 7).Run());

    [Theory]
    [MemberData(nameof(Methods))]
    public void A_single_number_gives_a_finite_number_or_a_complaint(string method)
    {
        var bench = Bench(method, []);
        if (bench.Method.Check(bench.Job()).Any())
            Assert.Contains(method, new[] { "ties" }); // a share of one element is none, which ties refuses
        else
            Assert.True(float.IsFinite(Assert.Single(bench.Run())));
    }

    private static MethodBench Frozen(string method, float[] values, params long[] shape)
    {
        var bench = new MethodBench(method, shape);
        for (var i = 0; i < Others(bench.Method); i++)
            bench.Model(values, Given(bench.Method, 0.25 + 0.25 * i));
        if (UsesBase(bench.Method))
            bench.Base(values);
        return Options(bench);
    }

    private static MethodBench Bench(string method, long[] shape)
    {
        var origin = Random((int)shape.Aggregate(1L, (a, b) => a * b), 1);
        var bench = new MethodBench(method, shape);
        for (var i = 0; i < Others(bench.Method); i++)
            bench.Model(FineTune(origin, 5 + i, 0.05, 0.2), Given(bench.Method, 0.25 + 0.25 * i));
        if (UsesBase(bench.Method))
            bench.Base(origin);
        return Options(bench);
    }

    private static bool UsesBase(MergeMethod method) => method.Base != BaseRole.Ordinary;

    private static int Others(MergeMethod method) =>
        method.Description.Name == "nuslerp" ? 2 : Math.Min(3, method.SliceModels.Most - (UsesBase(method) ? 1 : 0));

    /// <summary>Uneven weights, and thinning where there is any.</summary>
    private static (string, double)[] Given(MergeMethod method, double weight) => [.. method.Description.Parameters
        .Where(parameter => parameter.Scope == ParameterScope.PerModel)
        .Select(parameter => (parameter.Name, parameter.Name switch { "weight" => weight, "density" => 0.4, "gamma" => 0.05, "epsilon" => 0.1, _ => parameter.DefaultNumber ?? 1 }))];

    private static MethodBench Options(MethodBench bench)
    {
        foreach (var parameter in bench.Method.Description.Parameters.Where(parameter => parameter.Scope == ParameterScope.Global))
        {
            if (parameter.Required)
                bench.With(parameter.Name, parameter.Type == ParameterTypes.Integer ? 2 : 0.5);
            if (parameter.Name is "nuslerp_flatten")
                bench.With(parameter.Name, 0);
            if (parameter.Name is "nuslerp_row_wise" or "filter_wise" or "normalize")
                bench.With(parameter.Name, 1);
            if (parameter.Name is "select_topk")
                bench.With(parameter.Name, 0.3);
        }

        return bench;
    }
}
