using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Recipes.Yaml;
using MergeKit.Core.Search.Spaces;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>Search documents: what they say, what is wrong with them and where, and the recipes that they make.</summary>
public class SearchDocumentTests
{
    private const string Tune = "tune: [{data: v.txt}]\n";
    private const string Soup = "search: greedy_soup\nmodels: [{model: a}, {model: b}]\n" + Tune;
    private const string Free = "search: cma_es\n" + Tune + "recipe:\n  merge_method: linear\n  models:\n  - {model: a, parameters: {weight: {search: [0, 1]}}}\n";

    public static TheoryData<string, int, int, string> Errors => new()
    {
        { "search: gredy_soup\n" + Tune, 1, 9, "Did you mean 'greedy_soup'?" },
        { "search: cma_es\n" + Tune, 1, 1, "'recipe' is missing" },
        { "search: greedy_soup\n" + Tune, 1, 1, "'models' is missing" },
        { "search: greedy_soup\nmodels: [{model: a}]\n", 1, 1, "'tune' is missing" },
        { Soup + "recipe: {merge_method: linear, models: [{model: a, parameters: {weight: {search: [0, 1]}}}]}", 4, 1, "'recipe' has no meaning" },
        { Soup + "scales: [1]", 4, 1, "it belongs to scale" },
        { Soup + "accept: sometimes", 4, 9, "wanted one of strict, non_worse" },
        { Soup + "candidates: 0", 4, 13, "whole number of at least 1" },
        { Soup + "population: 1", 4, 13, "whole number of at least 2" },
        { Soup + "seed: -1", 4, 7, "whole number of at least 0" },
        { Soup + "racing: 1", 4, 9, "wanted true or false" },
        { Soup + "dtype: float33", 4, 8, "Did you mean 'float32'?" },
        { Soup + "test: [{data: t.txt, metric: accuracy}]", 4, 30, "wanted one of bits_per_byte" },
        { Soup + "test: [{data: t.txt, weight: 0}]", 4, 30, "above 0" },
        { Soup + "test: [{dta: t.txt}]", 4, 9, "unknown key 'dta'" },
        { Soup + "keep_going: 1", 4, 1, "unknown key 'keep_going'" },
        { "search: learned_soup\nmodels: [{model: a}]\n" + Tune, 2, 1, "at least two" },
        { "search: greedy_soup\nmodels: [{model: a}, {model: b}]\ncandidates: 3\n" + Tune, 3, 1, "'candidates' has no meaning for a search of kind greedy_soup" },
        { "search: scale\nbase_model: b\nmodels: [{model: a}]\npopulation: 3\n" + Tune, 4, 1, "'population' has no meaning for a search of kind scale" },
        { "search: learned_soup\nmodels: [{model: a}, {model: b}]\ncandidates: 3000000000\n" + Tune, 3, 13, "at most 2147483647" },
        { "search: greedy_soup\nmodels: [{model: a}, {model: b}]\ntest: [{data: x, weight: 2}]\n" + Tune, 3, 18, "'weight' has no meaning for test data" },
        { "search: greedy_soup\nmodels: [{model: a}, {model: a}]\n" + Tune, 2, 30, "listed 2 times" },
        { "search: scale\nmodels: [{model: a}]\n" + Tune, 1, 1, "'base_model' is missing" },
        { "search: scale\nbase_model: b\ntask: analogy\nmodels: [{model: a}]\n" + Tune, 4, 1, "three models" },
        { "search: scale\nbase_model: b\ntask: negation\nmodels: [{model: a}]\n" + Tune, 1, 1, "needs 'control'" },
        { "search: scale\nbase_model: b\nkeep: 2\nmodels: [{model: a}]\n" + Tune, 3, 7, "at most 1" },
        { "search: scale\nbase_model: b\nscales: [x]\nmodels: [{model: a}]\n" + Tune, 3, 10, "a scale is the text 'x'" },
        { "search: nsga2\n" + Free["search: cma_es\n".Length..], 2, 1, "fewer than two" },
        { Free.Replace("[0, 1]", "[1, 0]", StringComparison.Ordinal), 6, 46, "wanted two numbers [least, greatest]" },
        { Free.Replace("[0, 1]", "1", StringComparison.Ordinal), 6, 46, "wanted two numbers [least, greatest]" },
        { Free.Replace("[0, 1]}", "[0, 1], start: 2}", StringComparison.Ordinal), 6, 61, "outside the range" },
        { Free.Replace("[0, 1]}", "[0, 1], log: true}", StringComparison.Ordinal), 6, 46, "above 0" },
        { Free.Replace("[0, 1]}", "[0, 1], strt: 2}", StringComparison.Ordinal), 6, 54, "Did you mean 'start'?" },
        { Free.Replace("{search: [0, 1]}", "0.5", StringComparison.Ordinal), 4, 3, "no parameter of the recipe is marked" },
        { Free + "  dtype: {search: [0, 1]}", 7, 11, "only the values of 'parameters'" },
        { Free + "dtype: float32", 7, 1, "belongs into the 'recipe'" },
        { "genome: {models: [a, b], merge_method: linear}\n", 1, 1, "exactly one of 'tasks' and 'tune'" },
        { "genome: {models: [a, b], merge_method: linaer}\n" + Tune, 1, 40, "Did you mean 'linear'?" },
        { "genome: {models: [a, b], merge_method: ties}\n" + Tune, 1, 9, "'base_model' is missing" },
        { "genome: {models: [a, b], merge_method: slerp, smooth: true}\n" + Tune, 1, 47, "does not go with slerp" },
        { "genome: {models: [a], merge_method: slerp}\n" + Tune, 1, 10, "at least two models" },
        { "genome: {modls: [a], merge_method: linear}\n" + Tune, 1, 10, "Did you mean 'models'?" },
        { "genome: {models: [a, b], merge_method: linear}\ntasks: [{name: x, metric: bleu}]\n", 2, 27, "wanted one of" },
        { "genome: {models: [a, b], merge_method: linear}\ntasks: [x]\nnum_fewshot: 5\n", 3, 14, "finished prompts" },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public void What_is_wrong_is_named_with_its_place(string yaml, int line, int column, string part)
    {
        var error = Assert.Throws<InputException>(() => RecipeReader.ParseDocuments("s.yml", yaml));
        Assert.Contains(error.Problems, problem => problem.Message.Contains(part, StringComparison.Ordinal) && problem.Location == new SourceLocation("s.yml", line, column));
    }

    [Fact]
    public void All_problems_come_at_once() => Assert.True(
        Assert.Throws<InputException>(() => RecipeReader.ParseDocuments("s.yml", "search: x\nmodels: 3\ntune: [{weight: a}]\nseed: b\nfoo: 1")).Problems.Count >= 5);

    [Fact]
    public void Everything_that_is_written_is_read()
    {
        var search = Read("""
            name: found
            search: scale
            base_model: base
            models: [{model: a}, {model: b+lora}]
            task: negation
            scales: [0.5, 0.25, 0.5]
            tune: [{data: v.jsonl, name: V, weight: 2, metric: acc_norm, limit: 7}]
            control: [{data: c.txt, tokens: 900}]
            test: [{data: t.txt}]
            keep: 0.8
            seed: 8
            racing: false
            dtype: float32
            out_dtype: bfloat16
            """);
        Assert.Equal((SearchKind.Scale, "found", ScaleTask.Negation, 0.8, 8UL, false), (search.Kind, search.Name, search.Task, search.Keep, search.Seed, search.Racing));
        Assert.Equal(3, search.MostCandidates);
        var learned = Read("search: learned_soup\nmodels: [{model: a}, {model: b}]\ntune: [{data: x}]\ncandidates: 12\npopulation: 5");
        Assert.Equal((12, 12, 5), (learned.Candidates, learned.MostCandidates, learned.Population));
        Assert.Equal(3, Read("search: greedy_soup\nmodels: [{model: a}, {model: b}]\ntune: [{data: x}]").MostCandidates);
        Assert.Equal([0, 0.25, 0.5], search.Scales);
        Assert.Equal(("v.jsonl", "V", 2.0, "acc_norm", 7), (search.Tune[0].Path, search.Tune[0].Name, search.Tune[0].Weight, search.Tune[0].Metric, search.Tune[0].Limit));
        Assert.Equal(900, search.Control[0].Tokens);
        Assert.Equal((DType.F32, DType.BF16), (search.DType, search.OutDType));
        Assert.Equal(["a", "b+lora", "base"], search.AllModels().Select(model => model.ToString()));
    }

    [Fact]
    public void Marks_become_numbers_curves_and_shared_values()
    {
        var template = Read("""
            search: cma_es
            tune: [{data: v.txt}]
            recipe:
              merge_method: ties
              base_model: base
              models:
                - model: x/a
                  parameters:
                    weight: {search: [0, 1], start: 0.25, points: 2}
                    density:
                      - {filter: mlp, value: {search: [0.1, 1], log: true}}
                      - value: 0.5
                - model: b
                  parameters: {weight: {search: [-1, 1], share: w}}
                - model: c
                  parameters: {weight: {search: [-1, 1], share: w}}
              parameters: {lambda: {search: [0.5, 2]}}
              dtype: float32
            """).Template!;
        Assert.Equal(["a.weight#1", "a.weight#2", "a.density[mlp]", "w", "lambda"], template.Variables.Select(variable => variable.Name));
        Assert.Equal([0.25, 0.25, Math.Sqrt(0.1), 0, 1.25], template.Variables.Select(variable => variable.Start));
        var recipe = RecipeReader.Parse("w.yml", template.Write([0.1, 0.9, 0.75, -0.125, 1e-7]))[0];
        var sources = recipe.Modules[0].Slices[0].Sources;
        Assert.Equal([0.1, 0.9], Assert.IsType<GradientValue>(sources[0].Parameters.Values["weight"]).Points);
        Assert.Equal(0.75, sources[0].Parameters.Resolve("density", "layers.0.mlp.up", 0));
        Assert.Equal(0.5, sources[0].Parameters.Resolve("density", "layers.0.attn", 0));
        Assert.Equal([-0.125, -0.125], sources.Skip(1).Select(source => source.Parameters.Resolve("weight", "x", 0)!.Value));
        Assert.Equal(1e-7, recipe.Parameters.Resolve("lambda", "x", 0));
        Assert.Equal(DType.F32, recipe.DType);
    }

    [Fact]
    public void A_written_document_reads_back_as_the_same_nodes()
    {
        const string Text = """
            a: [1, 2.5, -3.0e-07, true, null, 'true', "1", x y, "tab\tquote\"", ./p, ../q, /r, 'null', .inf, 012, '']
            b:
              - {c: [], d: {}, e: [[1, 2], [3]]}
              - - f
                - g: "line\nline"
            "odd key": {'#': ': x', z: '- y'}
            """;
        var node = YamlComposer.Compose("a", Text, new ProblemList())[0].Root;
        var again = YamlComposer.Compose("a", YamlWriter.Write(node), new ProblemList())[0].Root;
        Assert.Equal(Show(node), Show(again));
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(-1.0 / 3)]
    [InlineData(1e-12)]
    [InlineData(6.02e23)]
    [InlineData(5)]
    [InlineData(5e-324)]
    [InlineData(1.7976931348623157e308)]
    public void Numbers_come_back_to_the_last_bit(double value)
    {
        var node = (YamlMapping)YamlComposer.Compose("a", "v: " + YamlWriter.Number(value, default).Text, new ProblemList())[0].Root;
        Assert.Equal(value, Assert.IsType<YamlScalar>(node.Entries[0].Value).Number);
        Assert.Contains(((YamlScalar)node.Entries[0].Value).Kind, new[] { ScalarKind.Float, ScalarKind.Integer });
    }

    [Fact]
    public void A_genome_makes_the_recipes_that_mergekit_evolve_makes()
    {
        var search = Read("""
            genome:
              models: [org/a, org/b]
              merge_method: dare_ties
              base_model: org/base
              layer_granularity: 2
              filters: [self_attn]
            tasks: [{name: t.jsonl, weight: 0.5, metric: "acc_norm,none"}, u.txt]
            limit: 9
            """);
        Assert.Equal([("t.jsonl", 0.5, "acc_norm", 9), ("u.txt", 1.0, null, 9)], search.Tune.Select(data => (data.Path, data.Weight, data.Metric, data.Limit!.Value)));
        var space = new GenomeSpace(search, 4);
        Assert.Equal(2 * 2 * 2 * 2, space.Variables.Count);
        Assert.Equal([0.5, 1], space.Variables.Take(2).Select(variable => variable.Start));
        var recipe = RecipeReader.Parse("g.yml", space.Write([.. Enumerable.Range(0, 16).Select(i => (i + 1) / 32.0)]))[0];
        Assert.Equal([0, 2], recipe.Modules[0].Slices.Select(slice => slice.Sources[0].Range!.Value.Start));
        var second = recipe.Modules[0].Slices[1].Sources;
        Assert.Equal(["org/a", "org/b", "org/base"], second.Select(source => source.Model.Path));
        Assert.Equal((13 / 32.0, 14 / 32.0), (second[1].Parameters.Resolve("weight", "self_attn.q", 0), second[1].Parameters.Resolve("density", "self_attn.q", 0)));
        Assert.Equal((15 / 32.0, 16 / 32.0), (second[1].Parameters.Resolve("weight", "mlp", 0), second[1].Parameters.Resolve("density", "mlp", 0)));
        Assert.Equal(1, recipe.Parameters.Resolve("normalize", "x", 0));
        Assert.Contains("do not divide", Assert.Throws<InputException>(() => new GenomeSpace(search, 5)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_smooth_genome_has_curves_and_slerp_takes_the_two_heaviest()
    {
        var smooth = new GenomeSpace(Read("genome: {models: [a, b], merge_method: linear, smooth: true, layer_granularity: 1}\n" + Tune), 3);
        var curve = RecipeReader.Parse("g.yml", smooth.Write([1, 2, 3, 4, 5, 6]))[0].Modules[0].Slices[0].Sources[1].Parameters.Values["weight"];
        Assert.Equal([2, 4, 6], Assert.IsType<GradientValue>(curve).Points);
        var slerp = new GenomeSpace(Read("genome: {models: [a, b, c], merge_method: slerp}\n" + Tune), 3);
        var slice = RecipeReader.Parse("g.yml", slerp.Write([0.1, 0.9, 0.4]))[0].Modules[0].Slices[0];
        Assert.Equal(["b", "c"], slice.Sources.Select(source => source.Model.Path));
        Assert.Equal("b", slice.BaseModel!.Path);
        Assert.Equal(1 / (1 + Math.Exp(0.5)), slice.Parameters.Resolve("t", "x", 0)!.Value, 12);
    }

    private static SearchRecipe Read(string yaml) => Assert.IsType<SearchRecipe>(RecipeReader.ParseDocuments("s.yml", yaml)[0]);

    private static string Show(YamlNode node) => node switch
    {
        YamlMapping mapping => $"{{{string.Join(", ", mapping.Entries.Select(entry => $"{Show(entry.Key)}: {Show(entry.Value)}"))}}}",
        YamlSequence sequence => $"[{string.Join(", ", sequence.Items.Select(Show))}]",
        YamlScalar scalar => $"{scalar.Kind}<{(scalar.Kind == ScalarKind.Text ? scalar.Text : scalar.Number)}>",
        _ => "?",
    };
}
