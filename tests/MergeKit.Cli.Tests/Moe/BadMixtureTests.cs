using MergeKit.Cli.Tests.Commands;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>What a user may get wrong in a mixture, and what is said about it.</summary>
public sealed class BadMixtureTests : IDisposable
{
    private readonly TemporaryFolder _scratch = TemporaryFolder.InMemory(20_000_000);

    public BadMixtureTests()
    {
        DenseModel.Write(_scratch.Join("a"), DenseModel.Llama, 1);
        DenseModel.Write(_scratch.Join("b"), DenseModel.Llama, 2);
        DenseModel.Write(_scratch.Join("q"), DenseModel.Qwen3, 1);
        DenseModel.Write(_scratch.Join("wide"), DenseModel.Llama, 1, inner: 40);
    }

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("gate_mode: random\nexperts_per_token: 3\nexperts: [{source_model: a}, {source_model: a}]", "experts_per_token is 3, but there are only 2 experts")]
    [InlineData("gate_mode: hidden\nexperts: [{source_model: a}, {source_model: a, positive_prompts: [x]}]", "expert 0 ('a') has no positive_prompts")]
    [InlineData("gate_mode: calibrated\nexperts: [{source_model: a}, {source_model: a, positive_prompts: [x]}]", "has no positive_prompts and no data")]
    [InlineData("gate_mode: hidden\nexperts: [{source_model: a, positive_prompts: [x]}, {source_model: a, positive_prompts: [x]}]", "the prompts (and data) of all experts are the same")]
    [InlineData("gate_mode: hiden\nexperts: [{source_model: a}]", "Did you mean 'hidden'?")]
    [InlineData("gate_mode: random\nexperts_per_tok: 2\nexperts: [{source_model: a}, {source_model: a}]", "unknown key 'experts_per_tok'")]
    [InlineData("gate_mode: random\nexperts: [{source_model: a, positiv_prompts: [x]}, {source_model: a}]", "Did you mean 'positive_prompts'?")]
    [InlineData("gate_mode: random\narchitecture: mixtrul\nexperts: [{source_model: a}, {source_model: a}]", "is no output format of mixtures")]
    [InlineData("gate_mode: random\narchitecture: qwen3\nexperts: [{source_model: a}, {source_model: a}]", "'a' is LlamaForCausalLM, wanted Qwen3ForCausalLM")]
    [InlineData("gate_mode: random\nexperts: [{source_model: a}, {source_model: q}]", "'q' is Qwen3ForCausalLM")]
    [InlineData("gate_mode: random\narchitecture: mixtral\nshared_experts: [{source_model: a}]\nexperts: [{source_model: a}, {source_model: a}]", "Mixtral: it has no shared experts")]
    [InlineData("gate_mode: random\narchitecture: mixtral\nlayer_range: [1, 3]\nexperts: [{source_model: a}, {source_model: a}]", "every layer is a mixture")]
    [InlineData("gate_mode: random\narchitecture: deepseek\nlayer_range: [0, 2]\nexperts: [{source_model: a}, {source_model: a}]", "only the first layers may stay dense")]
    [InlineData("gate_mode: random\nlayer_range: [0, 9]\nexperts: [{source_model: a}, {source_model: a}]", "goes past the 3 layers")]
    [InlineData("gate_mode: random\nexperts: [{source_model: a}, {source_model: wide}]", "has a matrix of another shape than the other experts")]
    [InlineData("gate_mode: random\nexperts: [{source_model: a}, {source_model: nowhere}]", "model 'nowhere': there is no such folder")]
    [InlineData("gate_mode: calibrated\nexperts: [{source_model: a, data: gone.txt}, {source_model: a, positive_prompts: [x]}]", "data 'gone.txt': there is no such file")]
    [InlineData("gate_mode: random\nexperts: [{source_model: a, noise_scale: -1}, {source_model: a}]", "'noise_scale' of 'a' is -1")]
    [InlineData("gate_mode: calibrated\ncalibration: {target_entropy: 2}\nexperts: [{source_model: a, positive_prompts: [x]}, {source_model: a, positive_prompts: [y]}]", "'target_entropy' is 2")]
    [InlineData("gate_mode: hidden\nexperts: [{source_model: a, positive_prompts: [x]}, {source_model: a, positive_prompts: [y]}]", "has no tokenizer.json")]
    [InlineData("gate_mode: random\ndtype: int8\nexperts: [{source_model: a}, {source_model: a}]", "int8")]
    [InlineData("gate_mode: random\nexperts: []", "'experts' is an empty list")]
    [InlineData("gate_mode: random\nbackbone: {merge_method: ties}\nexperts: [{source_model: a}, {source_model: b}]", "parameter 'weight' has no value")]
    public void Is_said_in_words_and_nothing_is_written(string recipe, string message)
    {
        File.WriteAllText(_scratch.Join("r.yml"), "base_model: a\n" + recipe + "\n");
        var run = CommandLine.Run(["run", "r.yml", "out", "--working-directory", _scratch.Path]);
        BadModelTests.CheckRefusal(run, 2, message);
        Assert.False(Directory.Exists(_scratch.Join("out")));
    }

    [Theory]
    [InlineData("gate_mode: random\ncalibration: {tokens: 5}", "r.yml:3:1: warning: 'calibration' has no effect with gate_mode: random")]
    [InlineData("gate_mode: uniform_random\ngate_input: router", "r.yml:3:1: warning: 'gate_input' has no effect with gate_mode: uniform_random")]
    [InlineData("gate_mode: random\narchitecture: qwen\nshared_experts: [{source_model: a, negative_prompts: [x]}]", "r.yml:4:18: warning: 'negative_prompts' of the shared expert 'a' have no effect")]
    public void Keys_without_effect_are_told_of(string keys, string message)
    {
        File.WriteAllText(_scratch.Join("r.yml"), $"base_model: a\n{keys}\nexperts: [{{source_model: a}}, {{source_model: b}}]\n");
        var run = CommandLine.Run(["run", "r.yml", "out", "--no-check", "--working-directory", _scratch.Path]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_base_the_key_is_named()
    {
        File.WriteAllText(_scratch.Join("r.yml"), "experts: [{source_model: a}, {source_model: a}]\n");
        BadModelTests.CheckRefusal(CommandLine.Run(["plan", "r.yml", "--working-directory", _scratch.Path]), 2, "'base_model' is missing in a mixture-of-experts document");
    }
}
