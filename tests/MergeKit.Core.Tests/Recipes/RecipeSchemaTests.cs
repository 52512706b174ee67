using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using YamlDotNet.Serialization;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>The editors' schema agrees with the reader and the parameter check.</summary>
public class RecipeSchemaTests
{
    private static readonly MethodDescription[] Methods =
    [
        new("linear", "A weighted mean.",
        [
            new("weight", ParameterScope.PerModel, ParameterTypes.Number, true, null, "The model's share."),
            new("normalize", ParameterScope.Global, ParameterTypes.Boolean, false, true, "Divide by the sum of weights."),
        ]),
        new("slerp", "Along the arc.", [new("t", ParameterScope.Global, ParameterTypes.Number, true, null, "Position.")]),
        new("ties", "Trim, elect, merge.",
        [
            new("weight", ParameterScope.PerModel, ParameterTypes.Number, true, null, "The model's share."),
            new("density", ParameterScope.PerModel, ParameterTypes.Number, false, 1.0, "The fraction that is kept."),
            new("normalize", ParameterScope.Global, ParameterTypes.Boolean, false, true, "Divide by the sum of weights."),
            new("int8_mask", ParameterScope.Global, ParameterTypes.Boolean, false, false, "No effect."),
            new("steps", ParameterScope.Global, ParameterTypes.Integer, false, 3, "Steps."),
        ]),
        new("passthrough", "A copy.", [new("scale", ParameterScope.PerModel, ParameterTypes.Number, false, null, "A factor.")]),
    ];

    private static readonly JsonObject Schema = JsonNode.Parse(RecipeSchema.ToJson(Methods))!.AsObject();

    [Fact]
    public void EveryKeyHasItsSentence()
    {
        foreach (var table in RecipeKeys.All)
        {
            var properties = Schema["$defs"]![table.Id]!["properties"]!.AsObject();
            Assert.Equal(table.Keys.Select(key => key.Name), properties.Select(property => property.Key));
            Assert.All(properties, property => Assert.NotEmpty(property.Value!["description"]!.GetValue<string>()));
        }

        Assert.Equal("https://json-schema.org/draft/2020-12/schema", Schema["$schema"]!.GetValue<string>());
        Assert.Equal(["linear", "passthrough", "slerp", "ties"],
            Schema["$defs"]!["recipe"]!["properties"]!["merge_method"]!["oneOf"]!.AsArray().Select(option => option!["const"]!.GetValue<string>()));
        Assert.Equal(1.0, Schema["$defs"]!["ties.modelParameters"]!["properties"]!["density"]!["default"]!.GetValue<double>());
        Assert.True(Schema["$defs"]!["ties.parameters"]!["properties"]!["normalize"]!["default"]!.GetValue<bool>());
        Assert.Equal(RecipeSchema.ToJson(Methods), RecipeSchema.ToJson(Methods.Reverse()));
        Assert.NotEmpty(RecipeSchema.ToJson([]));
    }

    [Theory]
    [MemberData(nameof(SuiteRecipeTests.Recipes), MemberType = typeof(SuiteRecipeTests))]
    public void RecipesThatAreReadAreValid(string recipe, string kind)
    {
        _ = kind;
        IReadOnlyList<Recipe> read;
        try
        {
            read = RecipeReader.Read(Path.Combine(Repository.Fixtures, "conformance", "merge", recipe));
        }
        catch (InputException)
        {
            return;
        }

        foreach (var document in read)
            if (Methods.FirstOrDefault(method => method.Name == document.MergeMethod) is { } method)
                Assert.Equal(IsChecked(document, method), IsValid(document.Yaml));
    }

    [Theory]
    [InlineData("models: [{model: a, parameters: {weight: [0, 1]}}]\nparameters: {normalize: false}", true)]
    [InlineData("models: [{model: {model: {path: a, revision: r}, lora: b}}]", true)]
    [InlineData("models: [{model: a}]\nchat_template: '{% for m in messages %}{{ m }}{% endfor %}'", true)]
    [InlineData("models: [{model: a}]\ntokenizer: {source: union, tokens: {x: {source: {kind: zero}, force: true}}, pad_to_multiple_of: 8}", true)]
    [InlineData("models: [{model: a}]\nparameters: {weight: [{filter: mlp, value: [1, 2]}, {value: 3}]}", true)]
    [InlineData("modules: {default: {models: [{model: a, parameters: {weight: 1}}], parameters: {normalize: true}}}", true)]
    [InlineData("models: [{model: a, parameters: {wieght: 1}}]", false)]
    [InlineData("models: [{model: a, parameters: {normalize: true}}]", false)]
    [InlineData("models: [{modle: a}]", false)]
    [InlineData("models: []", false)]
    [InlineData("modls: [{model: a}]", false)]
    [InlineData("models: [{model: a}]\nslices: [{sources: [{model: a, layer_range: [0, 1]}]}]", false)]
    [InlineData("slices: [{sources: [{model: a, layer_range: [0]}]}]", false)]
    [InlineData("slices: [{sources: [{model: a}]}]", false)]
    [InlineData("slices: [{sources: [{model: a, layer_range: [0, 1], parameters: {t: 1}}]}]", false)]
    [InlineData("modules: {default: {models: [{model: a, parameters: {t: 1}}]}}", false)]
    [InlineData("modules: {default: {parameters: {weight: 1}}}", false)]
    [InlineData("models: [{model: a}]\ndtype: float31", false)]
    [InlineData("models: [{model: a}]\nchat_template: short", false)]
    [InlineData("models: [{model: a}]\nparameters: {weight: heavy}", false)]
    [InlineData("models: [{model: a}]\nparameters: {weight: []}", false)]
    [InlineData("models: [{model: a}]\nparameters: {normalize: 0.5}", false)]
    [InlineData("models: [{model: a}]\ntokenizer: {source: base}\ntokenizer_source: base", false)]
    [InlineData("models: [{model: a}]\ntokenizer: {pad_to_multiple_of: 0}", false)]
    public void SchemaAndReaderSayTheSame(string body, bool valid)
    {
        var yaml = "merge_method: linear\n" + body;
        Assert.Equal(valid, IsValid(yaml));
        Assert.Equal(valid, IsRead(yaml));
    }

    [Theory]
    [InlineData("search: greedy_soup\nmodels: [{model: a}, {model: b+c}]\naccept: non_worse\ntune: [{data: v.txt, tokens: 100, weight: 0.5}]\ntest: [{data: t.txt}]\nseed: 0", true)]
    [InlineData("search: cma_es\nrecipe: {merge_method: linear, models: [{model: a, parameters: {weight: {search: [0, 1], start: 0.5}}}]}\ntune: [{data: v.txt}]", true)]
    [InlineData("search: scale\nbase_model: b\nmodels: [{model: a}]\nscales: [0, 0.5]\ntune: [{data: v.txt}]\ncontrol: [{data: c.txt}]", true)]
    [InlineData("genome: {models: [a, {model: {path: b}}], merge_method: linear, filters: [mlp], layer_granularity: 4}\ntasks: [t.jsonl, {name: u.jsonl, weight: 2}]\nlimit: 5", true)]
    [InlineData("search: greedy_soup\nmodels: [{model: a}]\ntune: [{dat: v.txt}]", false)]
    [InlineData("search: greedy_soup\nmodels: [{model: a}]\ntune: []", false)]
    [InlineData("search: greedy_soup\nmodels: [{model: a}]\ntune: [{data: v.txt}]\nseeds: 1", false)]
    [InlineData("search: cma_es\nrecipe: 3\ntune: [{data: v.txt}]", false)]
    [InlineData("genome: {models: [a], merge_method: linear, smoth: true}\ntasks: [t.jsonl]", false)]
    public void The_schema_knows_search_documents(string yaml, bool valid)
    {
        Assert.Equal(valid, IsValid(yaml));
        Assert.Equal(valid, Record.Exception(() => RecipeReader.ParseDocuments("s.yml", yaml)) is null);
    }

    private static bool IsRead(string yaml)
    {
        try
        {
            return RecipeReader.Parse("r.yml", yaml).All(recipe => IsChecked(recipe, Methods.First(method => method.Name == recipe.MergeMethod)));
        }
        catch (InputException)
        {
            return false;
        }
    }

    private static bool IsChecked(Recipe recipe, MethodDescription method)
    {
        var problems = new List<Problem>();
        ParameterChecker.Check(recipe, method, problems);
        return problems.Count == 0;
    }

    private static bool IsValid(string yaml)
    {
        var graph = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize<object?>(yaml);
        return new SchemaValidator(Schema).IsValid(ToJson(graph));
    }

    private static JsonNode? ToJson(object? value) => value switch
    {
        null => null,
        Dictionary<object, object> map => new JsonObject(map.Select(entry => KeyValuePair.Create(entry.Key.ToString()!, ToJson(entry.Value)))),
        List<object> list => new JsonArray([.. list.Select(ToJson)]),
        bool flag => JsonValue.Create(flag),
        string text => JsonValue.Create(text),
        IConvertible number => JsonValue.Create(number.ToDouble(null)),
        _ => throw new NotSupportedException(value.GetType().Name),
    };
}
