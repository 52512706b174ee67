using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Recipes of several documents: where results go, what is left behind, and going on after an interruption.</summary>
public class DocumentsTests
{
    private const string Hidden = ".out.mergekit-intermediate";

    private const string TwoStages = """
        name: half
        merge_method: linear
        models:
        - {model: a, parameters: {weight: 1}}
        - {model: b, parameters: {weight: 1}}
        ---
        merge_method: linear
        models:
        - {model: half, parameters: {weight: 1}}
        - {model: c, parameters: {weight: 1}}
        """;

    private static TemporaryFolder Scratch(string recipe)
    {
        var scratch = TemporaryFolder.InMemory(50_000_000);
        foreach (var (model, seed) in new[] { ("a", 1), ("b", 2), ("c", 3) })
            SyntheticModel.Llama(scratch.Join(model), seed, DType.F32);
        Directory.CreateDirectory(scratch.Join("recipes"));
        File.WriteAllText(scratch.Join("recipes", "r.yml"), recipe);
        return scratch;
    }

    private static RunResult Run(TemporaryFolder scratch, string output, params string[] more) =>
        CommandLine.Run(["run", "recipes/r.yml", output, "--working-directory", scratch.Path, .. more]);

    private static string Weights(TemporaryFolder scratch, params string[] folder) => FolderContent.Read(scratch.Join(folder))["model.safetensors"];

    [Fact]
    public void Without_an_intermediate_folder_only_the_result_stays()
    {
        using var scratch = Scratch(TwoStages);
        Assert.Equal(0, Run(scratch, "out").ExitCode);
        Assert.Equal(["a", "b", "c", "out", "recipes"], Directory.GetFileSystemEntries(scratch.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    /// <summary>Three stages of methods that read their inputs several times, written and not: the same bytes.</summary>
    [Fact]
    public void Stages_that_are_not_written_give_the_same_bits()
    {
        using var scratch = Scratch("""
            name: half
            merge_method: slerp
            base_model: a
            models: [{model: a}, {model: b}]
            parameters: {t: 0.3}
            dtype: bfloat16
            ---
            name: trimmed
            merge_method: dare_ties
            base_model: half
            models:
            - {model: c, parameters: {weight: 0.7, density: 0.4}}
            - {model: b, parameters: {weight: 0.5, density: 0.6}}
            dtype: float32
            ---
            merge_method: model_stock
            base_model: half
            models: [{model: trimmed}, {model: c}]
            dtype: float32
            """);
        Assert.Equal(0, Run(scratch, "written", "-I", "stages").ExitCode);
        Assert.Equal(0, Run(scratch, "held").ExitCode);
        Assert.Equal(Weights(scratch, "written"), Weights(scratch, "held"));
        Assert.Contains("`trimmed` is made by", File.ReadAllText(scratch.Join("held", "README.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void With_one_the_stages_stay_and_are_used_again()
    {
        using var scratch = Scratch(TwoStages);
        Assert.Equal(0, Run(scratch, "out", "-I", "stages").ExitCode);
        var made = File.GetLastWriteTimeUtc(scratch.Join("stages", "half", "model.safetensors"));
        Assert.Equal(0, Run(scratch, "out2", "-I", "stages").ExitCode);
        Assert.Equal(made, File.GetLastWriteTimeUtc(scratch.Join("stages", "half", "model.safetensors")));
        Assert.Equal(Weights(scratch, "out"), Weights(scratch, "out2"));
        SyntheticModel.Llama(scratch.Join("a"), 9, DType.F32);
        BadModelTests.CheckRefusal(Run(scratch, "out3", "-I", "stages"), 2, "half: the output folder is not empty");
    }

    [Fact]
    public void A_stage_that_an_interrupted_run_has_made_is_not_made_again()
    {
        using var scratch = Scratch(TwoStages);
        Assert.Equal(0, Run(scratch, "whole").ExitCode);
        Assert.Equal(0, Run(scratch, "other", "-I", Hidden).ExitCode); // as if killed after the first stage of 'out'
        var made = File.GetLastWriteTimeUtc(scratch.Join(Hidden, "half", "model.safetensors"));
        Assert.Contains(".half.mergekit-identity", Directory.GetFiles(scratch.Join(Hidden)).Select(Path.GetFileName));
        var second = CommandLine.Run(["run", "recipes/r.yml", "out", "-C", scratch.Path, "--resume", "--json"]);
        Assert.Equal(0, second.ExitCode);
        Assert.Equal(1, second.Output.Split("\"folder\"").Length - 1);
        Assert.True(made < File.GetLastWriteTimeUtc(scratch.Join("out", "model.safetensors")));
        Assert.Equal(Weights(scratch, "whole"), Weights(scratch, "out"));
        Assert.False(Path.Exists(scratch.Join(Hidden)));
    }

    [Fact]
    public void A_stage_of_another_recipe_is_made_anew()
    {
        using var scratch = Scratch(TwoStages);
        Directory.CreateDirectory(scratch.Join(Hidden, "half"));
        File.WriteAllText(scratch.Join(Hidden, "half", "model.safetensors"), "rubbish");
        File.WriteAllText(scratch.Join(Hidden, ".half.mergekit-identity"), "0123");
        Assert.Equal(0, Run(scratch, "out").ExitCode);
        Assert.Equal(0, Run(scratch, "whole").ExitCode);
        Assert.Equal(Weights(scratch, "whole"), Weights(scratch, "out"));
    }

    [Fact]
    public void After_a_failure_nothing_is_left_but_the_message()
    {
        using var scratch = Scratch(TwoStages.Replace("model: c", "model: gone", StringComparison.Ordinal));
        BadModelTests.CheckRefusal(Run(scratch, "out"), 2, "there is no such folder", "gone");
        Assert.Equal(["a", "b", "c", "recipes"], Directory.GetFileSystemEntries(scratch.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_slip_in_the_last_document_is_found_before_the_first_is_run()
    {
        using var scratch = Scratch(TwoStages + "\n---\nname: third\nmerge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: gone, parameters: {weight: 1}}\n");
        BadModelTests.CheckRefusal(Run(scratch, "out", "-I", "stages"), 2, "gone");
        Assert.False(Path.Exists(scratch.Join("stages")));
    }

    [Theory]
    [InlineData("../half")]
    [InlineData("/half")]
    [InlineData(".half")]
    public void A_name_that_leaves_the_folder_is_refused(string name)
    {
        using var scratch = Scratch(TwoStages.Replace("half", name, StringComparison.Ordinal));
        BadModelTests.CheckRefusal(Run(scratch, "out"), 2, $"'{name}'");
        Assert.Equal(["a", "b", "c", "recipes"], Directory.GetFileSystemEntries(scratch.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_output_is_looked_at_before_the_first_stage()
    {
        using var scratch = Scratch(TwoStages);
        BadModelTests.CheckRefusal(Run(scratch, "a", "-I", "stages"), 2, "not empty");
        Assert.False(Path.Exists(scratch.Join("stages")));
    }

    [Fact]
    public void Plan_says_what_it_cannot_know_yet()
    {
        using var scratch = Scratch(TwoStages);
        var result = CommandLine.Run(["plan", "recipes/r.yml", "-C", scratch.Path]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("uses 'half', not yet made", Assert.Single(result.Messages, message => message.Contains("note", StringComparison.Ordinal)), StringComparison.Ordinal);
    }
}
