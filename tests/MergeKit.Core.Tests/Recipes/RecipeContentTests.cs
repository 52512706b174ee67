using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>What the reader makes of correct recipes.</summary>
public class RecipeContentTests
{
    private const string Models = "merge_method: linear\nmodels:\n  - model: a\n";

    [Fact]
    public void ModelsAreOneSliceWithoutRanges()
    {
        var recipe = One("""
            name: soup
            merge_method: linear
            base_model: org/base@main
            models:
              - model: a
                parameters: {weight: 0.5}
              - model: b+adapter@v2
            dtype: float32
            out_dtype: torch.bfloat16
            """);
        Assert.Equal(("soup", "linear", RecipeForm.Models, DType.F32, DType.BF16), (recipe.Name, recipe.MergeMethod, recipe.Form, recipe.DType!.Value, recipe.OutDType!.Value));
        Assert.Equal(new SourceLocation("r.yml", 2, 15), recipe.MethodLocation);
        var module = Assert.Single(recipe.Modules);
        Assert.Equal("default", module.Name);
        var slice = Assert.Single(module.Slices);
        Assert.Equal(["a", "b+adapter@v2"], slice.Sources.Select(source => source.Model.ToString()));
        Assert.All(slice.Sources, source => Assert.Null(source.Range));
        Assert.Equal(("org/base", "main"), (recipe.BaseModel!.Path, recipe.BaseModel.Revision));
        Assert.Equal(["a", "b+adapter@v2", "org/base@main"], recipe.AllModels().Select(model => model.ToString()));
        Assert.Equal(0.5, slice.Sources[0].Parameters.Resolve("weight", "any", 0));
        Assert.Empty(slice.Sources[1].Parameters.Values);
    }

    [Fact]
    public void SlicesKeepRangesBasesAndParameters()
    {
        var recipe = One("""
            merge_method: slerp
            base_model: a
            slices:
              - sources:
                  - {model: a, layer_range: [0, 8]}
                  - {model: b, layer_range: [4, 12], parameters: {weight: 2}}
                base_model: b
                parameters: {t: [0, 1]}
              - sources:
                  - {model: a, layer_range: ["8", 16.0]}
            """);
        var slices = Assert.Single(recipe.Modules).Slices;
        Assert.Equal((RecipeForm.Slices, 2), (recipe.Form, slices.Count));
        Assert.Equal([new LayerRange(0, 8), new LayerRange(4, 12)], slices[0].Sources.Select(source => source.Range!.Value));
        Assert.Equal(new LayerRange(8, 16), slices[1].Sources[0].Range);
        Assert.Equal("b", slices[0].BaseModel!.Path);
        Assert.Null(slices[1].BaseModel);
        Assert.Equal(0.25, slices[0].Parameters.Resolve("t", "any", 0.25));
        Assert.Equal(new SourceLocation("r.yml", 4, 5), slices[0].Location);
    }

    [Fact]
    public void ModulesHoldModelsOrSlices()
    {
        var recipe = One("""
            merge_method: linear
            modules:
              text_model: {models: [{model: a}, {model: b}], parameters: {weight: 0.7}}
              vision_tower: {slices: [{sources: [{model: a, layer_range: [0, 2]}]}]}
            """);
        Assert.Equal(RecipeForm.Modules, recipe.Form);
        Assert.Equal(["text_model", "vision_tower"], recipe.Modules.Select(module => module.Name));
        Assert.Equal([2, 1], recipe.Modules.Select(module => module.Slices[0].Sources.Count));
        Assert.Equal(0.7, recipe.Modules[0].Parameters.Resolve("weight", "any", 0));
    }

    [Theory]
    [InlineData("a/b@rev+c@d", "a/b", "rev", "c", "d", null)]
    [InlineData("{model: a}", "a", null, null, null, null)]
    [InlineData("{model: a@r, lora: b@s, override_architecture: LlamaForCausalLM}", "a", "r", "b", "s", "LlamaForCausalLM")]
    [InlineData("{model: {path: a+b@c, revision: r}, lora: {path: d}}", "a+b@c", "r", "d", null, null)]
    [InlineData("/data/my model", "/data/my model", null, null, null, null)]
    public void ModelForms(string text, string path, string? revision, string? adapter, string? adapterRevision, string? architecture)
    {
        var model = One(Models + $"base_model: {text}").BaseModel!;
        Assert.Equal(new ModelReference(path, revision, adapter, adapterRevision, architecture, default), model);
        Assert.NotEqual(model with { Path = "other" }, model);
    }

    [Fact]
    public void TokenizerSettings()
    {
        var spec = One(Models + """
            tokenizer:
              source: {model: m, lora: x}
              pad_to_multiple_of: 64
              tokens:
                <|a|>: {source: {kind: zero}}
                <|b|>: {source: {kind: model_token, model: n, token: " "}, force: true}
                <|c|>: {source: {kind: model_token, model: n, token_id: 0}}
                <|d|>: {source: some/model, force: yes}
                <|e|>: {source: {model: {path: p}}}
                <|f|>: {force: true}
                <|g|>:
            """).Tokenizer!;
        Assert.Equal((TokenizerSourceKind.Model, "m+x", 64), (spec.Kind, spec.Model!.ToString(), spec.PadToMultipleOf!.Value));
        Assert.Equal(
            ["Zero    False", "ModelToken n    True", "ModelToken n  0 False", "Model some/model   True", "Model p   False", "    True", "    False"],
            spec.Tokens.Select(rule => $"{rule.Source?.Kind} {rule.Source?.Model} {rule.Source?.Token} {rule.Source?.TokenId} {rule.Force}"));
        Assert.Equal(["m+x", "n", "n", "some/model", "p"], spec.Models().Select(model => model.ToString()));
    }

    [Theory]
    [InlineData("tokenizer_source: union", TokenizerSourceKind.Union, null)]
    [InlineData("tokenizer_source: base", TokenizerSourceKind.Base, null)]
    [InlineData("tokenizer_source: org/m@r", TokenizerSourceKind.Model, "org/m@r")]
    [InlineData("tokenizer_source: model:org/m@r", TokenizerSourceKind.Model, "org/m@r")]
    [InlineData("tokenizer: {}", TokenizerSourceKind.Union, null)]
    [InlineData("tokenizer: {source: base}", TokenizerSourceKind.Base, null)]
    public void TokenizerSources(string yaml, TokenizerSourceKind kind, string? model)
    {
        var spec = One(Models + yaml).Tokenizer!;
        Assert.Equal((kind, model), (spec.Kind, spec.Model?.ToString()));
    }

    [Theory]
    [InlineData("auto", ChatTemplateKind.Auto)]
    [InlineData("chatml", ChatTemplateKind.Named)]
    [InlineData("\"{% for m in messages %}{{ m.content }}{% endfor %}\"", ChatTemplateKind.Jinja)]
    public void ChatTemplates(string text, ChatTemplateKind kind) => Assert.Equal(kind, One(Models + $"chat_template: {text}").ChatTemplate!.Kind);

    [Fact]
    public void AnchorsAliasesAndMergeKeysWork()
    {
        var recipe = One("""
            merge_method: ties
            base_model: &base org/base
            models:
              - model: a
                parameters: &usual {weight: 0.5, density: 0.3}
              - model: b
                parameters: {<<: *usual, density: 0.9}
              - model: *base
                parameters: {<<: [{weight: 1}, *usual]}
            """);
        var sources = recipe.Modules[0].Slices[0].Sources;
        Assert.Equal([(0.5, 0.3), (0.5, 0.9), (1.0, 0.3)],
            sources.Select(source => (source.Parameters.Resolve("weight", "x", 0)!.Value, source.Parameters.Resolve("density", "x", 0)!.Value)));
        Assert.Equal(recipe.BaseModel, sources[2].Model);
        Assert.Equal(new SourceLocation("r.yml", 8, 12), sources[2].Model.Location);
    }

    [Fact]
    public void DocumentsAreBuiltBeforeTheyAreUsed()
    {
        var read = RecipeReader.Parse("r.yml", """
            merge_method: linear
            models: [{model: two}, {model: one}]
            ---
            name: two
            merge_method: linear
            models: [{model: one+adapter}]
            ---
            name: one
            merge_method: linear
            models: [{model: a}, {model: two@revision}]
            ---
            """);
        Assert.Equal(["one", "two", null], RecipeSet.BuildOrder(read).Select(recipe => recipe.Name));
        Assert.Null(RecipeSet.Result(read).Name);
        Assert.Equal(["two", "one"], RecipeSet.UsedBy(read[0], read).Select(recipe => recipe.Name));
    }

    [Theory]
    [InlineData("residual_weight", "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}], residual_weight: 1}]")]
    [InlineData("never apply", Models + "parameters: {weight: [{value: 1}, {filter: mlp, value: 2}]}")]
    public void WhatHasNoEffectIsWarnedOf(string part, string yaml)
    {
        var warning = Assert.Single(One(yaml).Warnings);
        Assert.Contains(part, warning.Message, StringComparison.Ordinal);
        Assert.Equal(Severity.Warning, warning.Severity);
    }

    [Fact]
    public void EmptyValuesCountAsNotGiven()
    {
        var recipe = One(Models + "    parameters:\nparameters: {}\nslices:\nbase_model: ~\ndtype:\ntokenizer: null\nname:\nchat_template:\n");
        Assert.Equal((null, null, null, null), (recipe.BaseModel, recipe.DType, recipe.Tokenizer, recipe.ChatTemplate));
        Assert.Empty(recipe.Warnings);
    }

    private static Recipe One(string yaml) => Assert.Single(RecipeReader.Parse("r.yml", yaml));
}
