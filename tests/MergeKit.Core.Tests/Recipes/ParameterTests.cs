using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>Values, lookup over levels, and checks against a method.</summary>
public class ParameterTests
{
    private static readonly MethodDescription Method = new("ties", "Trim, elect, merge.",
    [
        new("weight", ParameterScope.PerModel, ParameterTypes.Number, Required: true, null, "Weight."),
        new("density", ParameterScope.PerModel, ParameterTypes.Number, Required: false, 1.0, "Kept fraction."),
        new("normalize", ParameterScope.Global, ParameterTypes.Boolean, Required: false, true, "Divide by the weights."),
        new("max_iter", ParameterScope.Global, ParameterTypes.Integer, Required: false, 10, "Steps."),
    ]);

    [Theory]
    [InlineData("0.5", "any", 0.3, 0.5)]
    [InlineData("true", "any", 0.3, 1.0)]
    [InlineData("off", "any", 0.3, 0.0)]
    [InlineData("[3]", "any", 0.0, 3.0)]
    [InlineData("[3]", "any", 1.0, 3.0)]
    [InlineData("[0, 1]", "any", 0.25, 0.25)]
    [InlineData("[0, 10, 0]", "any", 0.5, 10.0)]
    [InlineData("[0, 10, 0]", "any", 0.75, 5.0)]
    [InlineData("[1, 2, 4, 8]", "any", 1.0, 8.0)]
    [InlineData("{filter: mlp, value: 2}", "a.mlp.b", 0.0, 2.0)]
    [InlineData("{filter: mlp, value: 2}", "a.attn.b", 0.0, null)]
    [InlineData("[{filter: mlp, value: [1, 3]}, {value: 9}]", "a.mlp.b", 0.5, 2.0)]
    [InlineData("[{filter: mlp, value: [1, 3]}, {value: 9}]", "a.attn.b", 0.5, 9.0)]
    [InlineData("[{filter: '*', value: 7}]", "a", 0.0, 7.0)]
    [InlineData("[{filter: a.b, value: 7}]", "axb", 0.0, null)]
    [InlineData("[{filter: MLP, value: 7}]", "mlp", 0.0, null)]
    [InlineData("[{filter: a, value: 1}, {filter: ab, value: 2}]", "ab", 0.0, 1.0)]
    [InlineData("[{filter: a, value: [{filter: b, value: 1}]}, {value: 2}]", "ac", 0.0, null)]
    [InlineData("[{filter: a, value: [{filter: b, value: 1}]}, {value: 2}]", "ab", 0.0, 1.0)]
    public void Values(string yaml, string tensor, double t, double? expected) =>
        Assert.Equal(expected, Read($"parameters: {{weight: {yaml}}}").Parameters.Resolve("weight", tensor, t));

    [Fact]
    public void GradientsFollowTheFormulaInDoublePrecision()
    {
        double[] points = [0, 0.5, 0.3, 0.7, 1];
        var value = new GradientValue(points, default);
        for (var layers = 2; layers < 40; layers++)
        {
            for (var layer = 0; layer < layers; layer++)
            {
                var t = (double)layer / (layers - 1);
                var s = t * (points.Length - 1);
                var i = (int)Math.Floor(s);
                var j = Math.Min(i + 1, points.Length - 1);
                Assert.Equal(((1 - (s - i)) * points[i]) + ((s - i) * points[j]), value.Resolve("any", t));
            }
        }
    }

    [Fact]
    public void TheInnermostLevelThatYieldsAValueWins()
    {
        var recipe = Assert.Single(RecipeReader.Parse("r.yml", """
            merge_method: ties
            parameters: {weight: 4, normalize: false, density: 0.4}
            modules:
              default:
                parameters: {weight: [{filter: mlp, value: 3}]}
                slices:
                  - parameters: {weight: [{filter: up, value: 2}], normalize: [{filter: q, value: true}]}
                    sources:
                      - {model: a, layer_range: [0, 1], parameters: {weight: [{filter: gate, value: 1}]}}
                      - {model: b, layer_range: [0, 1]}
            """));
        var slice = recipe.Modules[0].Slices[0];
        var resolver = new ParameterResolver(recipe, recipe.Modules[0], slice);
        double? Weight(int source, string tensor) => resolver.PerModel(Method.Parameters[0], slice.Sources[source], tensor, 0);
        Assert.Equal([1.0, 2.0, 3.0, 4.0], new[] { "mlp.gate", "mlp.up", "mlp.down", "norm" }.Select(tensor => Weight(0, tensor)!.Value));
        Assert.Equal([3.0, 2.0, 3.0, 4.0], new[] { "mlp.gate", "mlp.up", "mlp.down", "norm" }.Select(tensor => Weight(1, tensor)!.Value));
        Assert.Equal(0.4, resolver.PerModel(Method.Parameters[1], null, "norm", 0));
        Assert.Equal((1.0, 0.0), (resolver.Global(Method.Parameters[2], "q", 0), resolver.Global(Method.Parameters[2], "k", 0)));
        Assert.Equal(10.0, resolver.Global(Method.Parameters[3], "q", 0));
    }

    [Fact]
    public void WithoutAnyValueTheDefaultOrNothingCounts()
    {
        var recipe = Read("");
        var resolver = new ParameterResolver(recipe, recipe.Modules[0], recipe.Modules[0].Slices[0]);
        Assert.Null(resolver.PerModel(Method.Parameters[0], null, "x", 0));
        Assert.Equal(1.0, resolver.PerModel(Method.Parameters[1], null, "x", 0));
        Assert.Equal(1.0, resolver.Global(Method.Parameters[2], "x", 0));
    }

    [Theory]
    [InlineData("parameters: {weight: 1, density: [0, 1], normalize: 1, max_iter: 5}")]
    [InlineData("parameters: {weight: [{filter: x, value: [1, 2]}, {value: 3}], normalize: [{filter: x, value: false}, {value: true}]}")]
    public void CorrectParametersPass(string yaml)
    {
        var problems = new List<Problem>();
        ParameterChecker.Check(Read(yaml), Method, problems);
        Assert.Empty(problems);
    }

    [Theory]
    [InlineData("parameters: {wieght: 1}", 4, 14, "Did you mean 'weight'?")]
    [InlineData("parameters: {frobnicate: 1}", 4, 14, "It has: weight, density, normalize, max_iter.")]
    [InlineData("parameters: {weight: true}", 4, 22, "'weight' is true; wanted a number or a list of numbers")]
    [InlineData("parameters: {normalize: 0.5}", 4, 25, "'normalize' is the number 0.5; wanted true or false")]
    [InlineData("parameters: {normalize: [0, 1]}", 4, 25, "'normalize' is a list of numbers; wanted true or false")]
    [InlineData("parameters: {max_iter: 1.5}", 4, 24, "'max_iter' is the number 1.5; wanted a whole number")]
    [InlineData("parameters: {max_iter: [1, 2]}", 4, 24, "wanted a whole number")]
    [InlineData("parameters: {weight: [{value: true}]}", 4, 31, "'weight' is true")]
    [InlineData("    parameters: {densty: 1}", 4, 18, "Did you mean 'density'?")]
    [InlineData("    parameters: {normalize: true}", 4, 18, "one for all models")]
    public void WrongParametersAreNamedWithTheirPlace(string yaml, int line, int column, string part)
    {
        var problems = new List<Problem>();
        ParameterChecker.Check(Read(yaml), Method, problems);
        var problem = Assert.Single(problems);
        Assert.Contains(part, problem.Message, StringComparison.Ordinal);
        Assert.Equal(new SourceLocation("r.yml", line, column), problem.Location);
    }

    [Fact]
    public void Parameters_of_other_methods_are_warnings_and_slips_are_errors()
    {
        var problems = new List<Problem>();
        ParameterChecker.Check(Read("parameters: {int8_mask: true, epsilon: 0.1, wieght: 1}"), Method, problems, new HashSet<string> { "int8_mask", "epsilon", "weight" });
        Assert.Equal([Severity.Warning, Severity.Warning, Severity.Error], problems.Select(problem => problem.Severity));
        Assert.All(problems.Take(2), problem => Assert.Contains("has no effect", problem.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void EveryLevelIsChecked()
    {
        var recipe = Assert.Single(RecipeReader.Parse("r.yml", """
            merge_method: ties
            parameters: {a: 1}
            modules:
              default:
                parameters: {b: 1}
                slices:
                  - parameters: {c: 1}
                    sources:
                      - {model: a, layer_range: [0, 1], parameters: {d: 1}}
            """));
        var problems = new List<Problem>();
        ParameterChecker.Check(recipe, Method, problems);
        Assert.Equal([2, 5, 7, 9], problems.Select(problem => problem.Location!.Value.Line));
    }

    private static Recipe Read(string more) => Assert.Single(RecipeReader.Parse("r.yml", "merge_method: ties\nmodels:\n  - model: a\n" + more));
}
