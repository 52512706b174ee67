using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

public class CapabilitiesTests
{
    [Fact]
    public void A_recipe_s_features_are_read_without_the_library()
    {
        var features = RecipeFeatures.Read("""
            merge_method: ties
            base_model: {model: {path: b}}
            slices:
              - sources:
                  - {model: x, layer_range: [0, 1]}
                  - model: {model: y, lora: z}
            tokenizer: {source: union}
            ---
            merge_method: slerp
            models: [{model: p+q}]
            """);
        Assert.Equal(["ties", "slerp"], features.Methods);
        Assert.Equal("b", features.BaseModel);
        Assert.Equal(["b", "x", "y+z", "p+q"], features.Models);
        Assert.True(features.SetsTokenizer);
    }

    [Fact]
    public void What_is_no_yaml_or_no_recipe_uses_no_feature()
    {
        Assert.Empty(RecipeFeatures.Read("models:\n - a\n b: [").Methods);
        Assert.Empty(RecipeFeatures.Read("just a word").Keys);
    }

    [Fact]
    public void A_plain_merge_is_built() => Assert.Null(Missing("""{"kind": "merge"}""", "merge_method: linear\nmodels: [{model: a}]"));

    [Fact]
    public void An_unknown_method_is_no_missing_feature_of_an_error_case() =>
        Assert.Null(Missing("""{"kind": "error", "command": "merge", "expect": "reject"}""", "merge_method: no_such_method"));

    private static string? Missing(string json, string recipe) => Capabilities.MissingFeature(JsonElement.Parse(json), recipe);
}
