using MergeKit.Cli.Tests.Commands;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>What a user may get wrong in the prompts and texts that gates are made of, on trained models.</summary>
public sealed class BadCalibrationTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void All_texts_that_cannot_be_read_are_named_with_their_experts()
    {
        File.WriteAllBytes(_scratch.Join("bad.txt"), [0xFF, 0xFE, 0]);
        File.WriteAllText(_scratch.Join("empty.txt"), "");
        var run = Run("gate_mode: calibrated\nexperts:\n- {source_model: MODELS/ft-code, data: bad.txt}\n- {source_model: MODELS/ft-man, data: empty.txt}\n");
        BadModelTests.CheckRefusal(run, 2, "bad.txt:1: not valid UTF-8");
        Assert.Contains("empty.txt: the file is empty", run.Error, StringComparison.Ordinal);
        Assert.Contains("r.yml:5:3", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_prompt_beyond_the_context_is_quoted_with_its_length()
    {
        var prompts = $"[\"{string.Concat(Enumerable.Repeat("int main(void) ", 200))}\"]";
        var run = Run($"gate_mode: hidden\nexperts:\n- {{source_model: MODELS/ft-code, positive_prompts: {prompts}}}\n- {{source_model: MODELS/ft-man, positive_prompts: [NAME]}}\n");
        BadModelTests.CheckRefusal(run, 2, "tokens; the model's context holds 512");
        Assert.Contains("r.yml:4:3: error: the prompt 'int main(void)", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_beyond_the_context_is_refused_before_anything_is_run_and_the_default_fits()
    {
        const string experts = "experts:\n- {source_model: MODELS/ft-code, data: examples/data/code/zlib-header.txt}\n- {source_model: short, data: examples/data/arithmetic/val.txt}\n";
        CopyWithContext("short", 100);
        BadModelTests.CheckRefusal(
            Run("gate_mode: calibrated\ncalibration: {window: 513}\n" + experts), 2, "'window' is 513; the model's context holds 512 tokens");
        var run = Run("gate_mode: calibrated\ncalibration: {tokens: 4000}\n" + experts, baseModel: "short");
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.DoesNotContain("too few", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_little_text_is_told_of()
    {
        File.WriteAllText(_scratch.Join("few.txt"), "12+30=42\n7*8=56\n");
        var run = Run("gate_mode: calibrated\nexperts:\n- {source_model: MODELS/ft-code, data: examples/data/code/zlib-header.txt}\n- {source_model: MODELS/ft-arithmetic, data: few.txt}\n");
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Contains("r.yml:5:3: warning: the gates are calibrated on", run.Error, StringComparison.Ordinal);
        Assert.Contains("which are 128 wide: too few to be relied on", run.Error, StringComparison.Ordinal);
    }

    /// <summary>The models that gates are made of run where the option says: a device that is not there is an error before anything is written.</summary>
    [Fact]
    public void A_device_that_is_not_there_is_an_error()
    {
        const string recipe = "gate_mode: hidden\nexperts:\n- {source_model: MODELS/ft-code, positive_prompts: [int]}\n- {source_model: MODELS/ft-man, positive_prompts: [NAME]}\n";
        var run = Run(recipe, more: ["--device", "cuda:77"]);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("cuda:77", run.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(_scratch.Path));
        Assert.Equal(0, Run(recipe, more: ["--device", "cpu"]).ExitCode);
    }

    private void CopyWithContext(string name, int context)
    {
        var folder = Directory.CreateDirectory(_scratch.Join(name)).FullName;
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "examples", "models", "base")))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var config = Path.Combine(folder, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"max_position_embeddings\": 512", $"\"max_position_embeddings\": {context}", StringComparison.Ordinal));
    }

    private RunResult Run(string recipe, string baseModel = "MODELS/base", params string[] more)
    {
        var text = $"base_model: {baseModel}\n{recipe}".Replace("MODELS", Path.Combine(Repository.Root, "examples", "models"), StringComparison.Ordinal)
            .Replace("data: examples", $"data: {Path.Combine(Repository.Root, "examples")}", StringComparison.Ordinal);
        File.WriteAllText(_scratch.Join("r.yml"), text);
        return CommandLine.Run(["run", "r.yml", "out", "--no-check", "--working-directory", _scratch.Path, .. more]);
    }
}
