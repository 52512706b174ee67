using System.Text.Json;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>Methods beyond mergekit's against values computed with numpy (tests/fixtures/methods/README.md).</summary>
public class GoldenMethodTests
{
    private static readonly JsonElement Cases = JsonDocument.Parse(File.ReadAllText(
        Path.Combine(Repository.Root, "tests", "fixtures", "methods", "golden.json"))).RootElement;

    public static TheoryData<int, string> Golden => [.. Cases.EnumerateArray().Select((one, i) => (i, one.GetProperty("method").GetString()!))];

    [Theory]
    [MemberData(nameof(Golden))]
    public void Agrees_with_numpy(int number, string method)
    {
        var golden = Cases[number];
        var bench = new MethodBench(method, [.. golden.GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt64())])
        {
            Depth = golden.GetProperty("depth").GetDouble(),
        };
        if (golden.GetProperty("base") is { ValueKind: JsonValueKind.Array } values)
            bench.Base(Floats(values));
        foreach (var (model, i) in golden.GetProperty("models").EnumerateArray().Select((model, i) => (model, i)))
            bench.Model(Floats(model), [.. golden.GetProperty("per_model").EnumerateObject().Select(one => (one.Name, one.Value[i].GetDouble()))]);
        foreach (var one in golden.GetProperty("job").EnumerateObject())
            bench.With(one.Name, one.Value.GetDouble());
        Assert.Empty(bench.Method.Check(bench.Job()));
        Tensors.Close([.. golden.GetProperty("expected").EnumerateArray().Select(value => value.GetDouble())], bench.Run(), 1e-6, 1e-6);
    }

    [Theory]
    [InlineData("ema", "decay", 1.5)]
    [InlineData("ema", "decay", -0.1)]
    [InlineData("lawa", "k", 0.0)]
    [InlineData("lawa", "k", 3.0)]
    [InlineData("consensus_ta", "k", 3.0)]
    public void Refuses_impossible_values(string method, string parameter, double value)
    {
        var bench = new MethodBench(method, 2).Model([1, 2]).Model([3, 4]).With(parameter, value);
        Assert.Contains(parameter, Assert.Single(bench.Method.Check(bench.Job())), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ema", "decay", 0.5)]
    [InlineData("lawa", "k", 1.0)]
    public void Checkpoint_averages_want_no_base(string method, string parameter, double value)
    {
        var bench = new MethodBench(method, 2).Model([1, 2]).Base([3, 4]).With(parameter, value);
        Assert.Contains("base_model", Assert.Single(bench.Method.Check(bench.Job())), StringComparison.Ordinal);
    }

    private static float[] Floats(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetSingle())];
}
