using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Adapters, conversions and statistics through the command line.</summary>
public sealed class FormatCommandTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    private static string Base => TrainedModels.Folder("nano", "base");

    private static string Tuned => TrainedModels.Folder("nano", "ft-code");

    private static string Lora => TrainedModels.Folder("nano", "lora-german");

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void An_adapter_s_fusion_is_the_formula()
    {
        File.WriteAllText(_scratch.Join("r.yml"), $"merge_method: passthrough\nmodels:\n- model: {Base}+{Lora}\n");
        Assert.Equal(0, CommandLine.Run(["run", _scratch.Join("r.yml"), _scratch.Join("out"), "--no-check"]).ExitCode);
        var (fused, model, adapter) = (LoadedTensor.LoadAll(_scratch.Join("out")), LoadedTensor.LoadAll(Base), LoadedTensor.LoadAll(Path.Combine(Lora, "adapter_model.safetensors")));
        Assert.Equal(model.Keys, fused.Keys);
        foreach (var (name, tensor) in model)
        {
            var stem = "base_model.model." + name[..^".weight".Length];
            if (!adapter.TryGetValue(stem + ".lora_A.weight", out var a))
            {
                Assert.Equal(tensor.Bytes, fused[name].Bytes);
                continue;
            }

            var (b, columns) = (adapter[stem + ".lora_B.weight"].Values(), (int)a.Shape[1]);
            var (left, values, result) = (a.Values(), tensor.Values(), fused[name].Values());
            for (var i = 0; i < values.Length; i++)
            {
                var exact = values[i] + 2 * Enumerable.Range(0, 8).Sum(k => b[i / columns * 8 + k] * left[k * columns + i % columns]); // alpha 16 / r 8
                Assert.InRange(Math.Abs(result[i] - exact), 0, Math.Abs(exact) * 0.00392 + 1e-7);
            }
        }
    }

    [Fact]
    public void Concatenation_loses_nothing_and_a_folded_merge_agrees()
    {
        Assert.Equal(0, CommandLine.Run(["extract-lora", "--model", Tuned, "--base-model", Base, "--out-path", _scratch.Join("code"), "--max-rank", "6", "-i", "q_proj|up_proj"]).ExitCode);
        File.WriteAllText(_scratch.Join("r.yml"), $"merge_method: task_arithmetic\nbase_model: {Base}\nmodels:\n- {{model: {Lora}, parameters: {{weight: 0.7}}}}\n- {{model: {_scratch.Join("code")}, parameters: {{weight: 0.5}}}}\n");
        var run = CommandLine.Run(["merge-adapters", _scratch.Join("r.yml"), _scratch.Join("cat")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var merged = LoadedTensor.LoadAll(_scratch.Join("cat", "adapter_model.safetensors"));
        double[] Delta(string folder, string module, double scale)
        {
            var tensors = LoadedTensor.LoadAll(Path.Combine(folder, "adapter_model.safetensors"));
            if (!tensors.TryGetValue($"base_model.model.{module}.lora_A.weight", out var a))
                return [];
            var (b, left, columns, rank) = (tensors[$"base_model.model.{module}.lora_B.weight"].Values(), a.Values(), (int)a.Shape[1], (int)a.Shape[0]);
            return [.. Enumerable.Range(0, b.Length / rank * columns).Select(i => scale * Enumerable.Range(0, rank).Sum(k => b[i / columns * rank + k] * left[k * columns + i % columns]))];
        }

        foreach (var module in new[] { "model.layers.1.self_attn.q_proj", "model.layers.3.mlp.down_proj" })
        {
            var (got, german, code) = (Delta(_scratch.Join("cat"), module, 1), Delta(Lora, module, 0.7 * 2), Delta(_scratch.Join("code"), module, 0.5));
            Assert.Equal(module.EndsWith("q_proj", StringComparison.Ordinal) ? 14 : 8, merged[$"base_model.model.{module}.lora_A.weight"].Shape[0]);
            for (var i = 0; i < got.Length; i++)
                Assert.Equal(german[i] + (code.Length > 0 ? code[i] : 0), got[i], 1e-6);
        }

        File.WriteAllText(_scratch.Join("ties.yml"), File.ReadAllText(_scratch.Join("r.yml")).Replace("task_arithmetic", "ties", StringComparison.Ordinal));
        var ties = CommandLine.Run(["merge-adapters", _scratch.Join("ties.yml"), _scratch.Join("ties"), "--max-rank", "4"]);
        Assert.True(ties.ExitCode == 0, ties.ToString());
        Assert.Contains("is left over", ties.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_rank_extraction_gives_the_fine_tune_back()
    {
        Assert.Equal(0, CommandLine.Run(["extract-lora", "--model", Tuned, "--base-model", Base, "--out-path", _scratch.Join("code"), "--max-rank", "512"]).ExitCode);
        File.WriteAllText(_scratch.Join("r.yml"), $"merge_method: passthrough\nmodels:\n- model: {Base}+{_scratch.Join("code")}\nout_dtype: float32\n");
        Assert.Equal(0, CommandLine.Run(["run", _scratch.Join("r.yml"), _scratch.Join("out"), "--no-check"]).ExitCode);
        var (back, tuned) = (LoadedTensor.LoadAll(_scratch.Join("out")), LoadedTensor.LoadAll(Tuned));
        foreach (var (name, tensor) in tuned)
            for (var (i, a, b) = (0, tensor.Values(), back[name].Values()); i < a.Length; i++)
                Assert.InRange(Math.Abs(a[i] - b[i]), 0, 0.004 * Math.Abs(a[i]) + 0.003); // factors and sum are bfloat16
    }

    [Fact]
    public void A_model_survives_the_way_through_gguf_and_pooled_heads_still_run()
    {
        Assert.Equal(0, CommandLine.Run(["convert", Base, _scratch.Join("m.gguf"), "--gguf", "bf16"]).ExitCode);
        Assert.Equal(0, CommandLine.Run(["convert", _scratch.Join("m.gguf"), _scratch.Join("back"), "--dtype", "bfloat16", "--out-shard-size", "500K"]).ExitCode);
        var (stored, back) = (LoadedTensor.LoadAll(Base), LoadedTensor.LoadAll(_scratch.Join("back")));
        Assert.Equal(stored.Keys, back.Keys);
        Assert.All(stored, pair => Assert.Equal(pair.Value.Bytes, back[pair.Key].Bytes));
        Assert.True(Directory.GetFiles(_scratch.Join("back"), "*.safetensors").Length > 1);
        Assert.Equal(0, CommandLine.Run(["convert", TrainedModels.Folder("nano", "base-mha"), _scratch.Join("mqa"), "--kv-heads", "1"]).ExitCode);
        var run = CommandLine.Run(["generate", _scratch.Join("mqa"), "-p", "The ", "-n", "4"]);
        Assert.True(run.ExitCode == 0, run.ToString());
    }

    [Fact]
    public void Statistics_feed_regmean()
    {
        File.WriteAllText(_scratch.Join("t.txt"), string.Concat(Enumerable.Repeat("int main(void) { return 0; }\n", 40)));
        foreach (var (name, model) in new[] { ("a", Base), ("b", Tuned) })
        {
            var made = CommandLine.Run(["statistics", model, "-d", _scratch.Join("t.txt"), "-o", _scratch.Join(name + ".safetensors"), "--max-tokens", "300", "--window", "64"]);
            Assert.True(made.ExitCode == 0, made.ToString());
        }

        File.WriteAllText(_scratch.Join("r.yml"), $"merge_method: regmean\nmodels:\n- {{model: {Base}, statistics: {_scratch.Join("a.safetensors")}}}\n- {{model: {Tuned}, statistics: {_scratch.Join("b.safetensors")}}}\n");
        var run = CommandLine.Run(["run", _scratch.Join("r.yml"), _scratch.Join("out")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Contains("check: passed", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Fisher_information_is_recorded_kept_and_merged()
    {
        File.WriteAllText(_scratch.Join("t.txt"), string.Concat(Enumerable.Repeat("int main(void) { return 0; }\n", 40)));
        string[] Command(string model, string name, params string[] more) => ["statistics", model, "-m", "fisher", "-d", _scratch.Join("t.txt"), "-o", _scratch.Join(name), "--max-tokens", "200", "--window", "64", .. more];
        var made = CommandLine.Run(Command(Base, "a.safetensors"));
        Assert.True(made.ExitCode == 0, made.ToString());
        Assert.DoesNotContain("already", made.Output, StringComparison.Ordinal);
        Assert.Contains("already, of the same model", CommandLine.Run(Command(Base, "a.safetensors")).Output, StringComparison.Ordinal);
        var other = CommandLine.Run(Command(Base, "a.safetensors", "--labels", "text"));
        Assert.Equal(2, other.ExitCode);
        Assert.Contains("labels: sampled, seed 0, wanted text", other.Error, StringComparison.Ordinal);
        Assert.Contains("--labels goes with --method fisher", CommandLine.Run(["statistics", Base, "-d", "x", "-o", "y", "--labels", "text"]).Error, StringComparison.Ordinal);
        File.WriteAllText(_scratch.Join("r.yml"), $"""
            merge_method: fisher
            dtype: float32
            models:
            - model: {Base}
              statistics: {_scratch.Join("a.safetensors")}
            - model: {Tuned}
              statistics:
                data: {_scratch.Join("t.txt")}
                file: {_scratch.Join("b.safetensors")}
                max_tokens: 200
                window: 64
            """);
        var plan = CommandLine.Run(["plan", _scratch.Join("r.yml"), "--summary"]);
        Assert.True(plan.ExitCode == 0, plan.ToString());
        Assert.Contains("operations on the CPU", plan.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_scratch.Join("b.safetensors")));
        var run = CommandLine.Run(["run", _scratch.Join("r.yml"), _scratch.Join("out")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Contains("check: passed", run.Output, StringComparison.Ordinal);
        AssertWeighted("model.layers.1.mlp.up_proj.weight");
        AssertWeighted("model.embed_tokens.weight");
    }

    /// <summary>(Fa Wa + Fb Wb) / (Fa + Fb) with F at least 1e-6 of the tensor's mean.</summary>
    private void AssertWeighted(string name)
    {
        double[] Values(string folder) => LoadedTensor.LoadAll(folder)[name].Values();
        double[] Fisher(string file) => Floored(LoadedTensor.LoadAll(_scratch.Join(file))[name].Values());
        static double[] Floored(double[] values) => Array.ConvertAll(values, value => Math.Max(value, 1e-6 * values.Average()));
        var (a, b, fa, fb, merged) = (Values(Base), Values(Tuned), Fisher("a.safetensors"), Fisher("b.safetensors"), Values(_scratch.Join("out")));
        Assert.True(fa.Average() > 1e-8);
        for (var i = 0; i < a.Length; i++)
            Assert.Equal((fa[i] * a[i] + fb[i] * b[i]) / (fa[i] + fb[i]), merged[i], 1e-4 * Math.Abs(merged[i]) + 1e-6);
    }

    [Fact]
    public void A_shuffled_stack_is_a_recipe_that_runs()
    {
        var run = CommandLine.Run(["layer-shuffle", "-m", Base, "-m", $"{Tuned},3", "--random-seed", "4", _scratch.Join("s.yml")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Equal(0, CommandLine.Run(["plan", _scratch.Join("s.yml"), "--summary"]).ExitCode);
        Assert.Equal(4, File.ReadAllText(_scratch.Join("s.yml")).Split("layer_range").Length - 1);
    }

    [Theory]
    [InlineData("an adapter alone", "this is a LoRA adapter")]
    [InlineData("no such adapter", "no such folder")]
    [InlineData("impossible heads", "possible: 1, 2, 4")]
    [InlineData("a wrong layout", "has no experts")]
    [InlineData("dtype of a gguf", "--gguf")]
    [InlineData("a rank of zero", "at least 1")]
    [InlineData("a bad pattern", "not a regular expression")]
    [InlineData("no module left", "leave none")]
    public void What_cannot_be_done_is_said(string what, string seen)
    {
        string[] args = what switch
        {
            "an adapter alone" => ["generate", Lora, "-p", "x"],
            "no such adapter" => ["generate", $"{Base}+{_scratch.Join("nothing")}", "-p", "x"],
            "impossible heads" => ["convert", TrainedModels.Folder("nano", "base-mha"), _scratch.Join("o"), "--kv-heads", "3"],
            "a wrong layout" => ["convert", Base, _scratch.Join("o"), "--experts", "packed"],
            "dtype of a gguf" => ["convert", Base, _scratch.Join("o.gguf"), "--dtype", "float16"],
            "a rank of zero" => ["extract-lora", "--model", Tuned, "--base-model", Base, "--out-path", _scratch.Join("o"), "--max-rank", "0"],
            "a bad pattern" => ["extract-lora", "--model", Tuned, "--base-model", Base, "--out-path", _scratch.Join("o"), "-i", "("],
            _ => ["extract-lora", "--model", Tuned, "--base-model", Base, "--out-path", _scratch.Join("o"), "-i", "no_such_module"],
        };
        var run = CommandLine.Run(args);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(run.Messages, message => message.Contains(seen, StringComparison.Ordinal));
        Assert.False(Path.Exists(_scratch.Join("o")) || Path.Exists(_scratch.Join("o.gguf")));
    }
}
