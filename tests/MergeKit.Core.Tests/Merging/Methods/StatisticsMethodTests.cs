using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tests.Merging.Execution;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>Methods with statistics files against their formulas in double precision.</summary>
public sealed class StatisticsMethodTests : IDisposable
{
    private const int Out = 5, In = 4;
    private readonly TemporaryFolder _scratch = new();
    private readonly SplitMix _dice = new(21);
    private readonly Dictionary<string, float[]> _weights = [], _grams = [], _fisher = [];

    public StatisticsMethodTests()
    {
        foreach (var model in new[] { "a", "b" })
        {
            var (weight, bias) = (_weights[model] = _dice.Array(Out * In), _dice.Array(Out));
            _weights[model + ".bias"] = bias;
            SyntheticModel.Unknown(_scratch.Join(model), LoadedTensor.Float32("l.weight", [Out, In], weight), LoadedTensor.Float32("l.bias", [Out], bias));
            var inputs = Enumerable.Range(0, 9).Select(_ => _dice.Array(In)).ToList();
            _grams[model] = [.. Enumerable.Range(0, In * In).Select(at => inputs.Average(x => x[at / In] * x[at % In]))];
            _fisher[model] = _dice.Array(Out * In, 0, 1);
            _fisher[model][3] = 0;
            SafetensorsFile.Write(_scratch.Join(model + ".stats"), LoadedTensor.Float32("l.gram", [In, In], _grams[model]), LoadedTensor.Float32("l.weight", [Out, In], _fisher[model]));
            File.Move(_scratch.Join(model + ".stats"), _scratch.Join(model + ".safetensors"));
        }
    }

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Fisher_weighs_each_element()
    {
        var merged = Merge("fisher", "epsilon: 0.001");
        var (wa, wb) = (0.5, 2.0);
        var (la, lb) = (0.001 * _fisher["a"].Average(), 0.001 * _fisher["b"].Average());
        for (var i = 0; i < Out * In; i++)
        {
            var (fa, fb) = (wa * Math.Max(_fisher["a"][i], la), wb * Math.Max(_fisher["b"][i], lb));
            Assert.Equal((fa * _weights["a"][i] + fb * _weights["b"][i]) / (fa + fb), merged["l.weight"].Values()[i], 1e-5);
        }

        AssertAverage(merged["l.bias"].Values());
    }

    [Fact]
    public void Regmean_solves_the_least_squares_problem()
    {
        var merged = Merge("regmean", "alpha: 0.8")["l.weight"].Values();
        var (s, t) = (new double[In, In], new double[In, Out]);
        foreach (var (model, weight) in new[] { ("a", 0.5), ("b", 2.0) })
            for (var i = 0; i < In; i++)
                for (var j = 0; j < In; j++)
                {
                    var h = weight * _grams[model][i * In + j] * (i == j ? 1 : 0.8);
                    s[i, j] += h;
                    for (var o = 0; o < Out; o++)
                        t[i, o] += h * _weights[model][o * In + j];
                }

        for (var o = 0; o < Out; o++)
            for (var i = 0; i < In; i++)
            {
                var left = Enumerable.Range(0, In).Sum(j => s[i, j] * merged[o * In + j]); // S R^T = T
                Assert.Equal(t[i, o], left, 1e-5);
            }
    }

    [Fact]
    public void Equal_models_stay_what_they_are()
    {
        var recipe = $$$"""
            merge_method: regmean
            models:
            - {model: "{{{_scratch.Join("a")}}}", statistics: "{{{_scratch.Join("a.safetensors")}}}"}
            - {model: "{{{_scratch.Join("a")}}}/", statistics: "{{{_scratch.Join("b.safetensors")}}}"}
            """;
        InProcessMerge.Run(recipe, _scratch.Join("same"));
        var values = LoadedTensor.LoadAll(_scratch.Join("same"))["l.weight"].Values();
        for (var i = 0; i < values.Length; i++)
            Assert.Equal(_weights["a"][i], values[i], 1e-5);
    }

    [Fact]
    public void A_method_without_its_statistics_says_what_to_give()
    {
        var recipe = InProcessMerge.Linear(_scratch.Join("a"), _scratch.Join("b")).Replace("linear", "regmean", StringComparison.Ordinal);
        using var plan = MergePlanner.Plan(RecipeReader.Parse("r.yml", recipe)[0], new PlanOptions());
        Assert.Contains(plan.Problems, problem => problem.Message.Contains("'statistics' beside the model", StringComparison.Ordinal));
    }

    [Fact]
    public void Statistics_of_another_shape_are_named()
    {
        SafetensorsFile.Write(_scratch.Join("a.safetensors"), LoadedTensor.Float32("l.gram", [2, 2], 1, 0, 0, 1));
        using var plan = MergePlanner.Plan(RecipeReader.Parse("r.yml", Recipe("regmean", "alpha: 0.8"))[0], new PlanOptions());
        Assert.Contains(plan.Problems, problem => problem.Message.Contains("'l.gram'", StringComparison.Ordinal) && problem.Message.Contains("[4, 4]", StringComparison.Ordinal));
    }

    private string Recipe(string method, string parameter) => $$$"""
        merge_method: {{{method}}}
        models:
        - {model: "{{{_scratch.Join("a")}}}", parameters: {weight: 0.5}, statistics: "{{{_scratch.Join("a.safetensors")}}}"}
        - {model: "{{{_scratch.Join("b")}}}", parameters: {weight: 2}, statistics: "{{{_scratch.Join("b.safetensors")}}}"}
        parameters: { {{{parameter}}} }
        """;

    private SortedDictionary<string, LoadedTensor> Merge(string method, string parameter)
    {
        InProcessMerge.Run(Recipe(method, parameter), _scratch.Join(method));
        return LoadedTensor.LoadAll(_scratch.Join(method));
    }

    private void AssertAverage(double[] values)
    {
        for (var i = 0; i < values.Length; i++)
            Assert.Equal((0.5 * _weights["a.bias"][i] + 2 * _weights["b.bias"][i]) / 2.5, values[i], 1e-6);
    }
}
