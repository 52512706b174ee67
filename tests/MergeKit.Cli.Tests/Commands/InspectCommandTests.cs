using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Checkpoints.Writing;

namespace MergeKit.Cli.Tests.Commands;

/// <summary><c>mergekit inspect</c> on two small files whose numbers are worked out here in plain loops.</summary>
public class InspectCommandTests
{
    private static readonly float[] A = [.. Enumerable.Range(0, 70_001).Select(i => (i % 7 - 3) * 0.25f)];
    private static readonly float[] B = [.. Enumerable.Range(0, 70_001).Select(i => (i % 5 - 2) * 0.5f)];

    [Fact]
    public void Numbers_are_those_of_plain_loops_for_any_number_of_threads()
    {
        using var scratch = Files();
        foreach (var threads in new[] { "1", "2", "8" })
        {
            var tensor = Tensor(Json(scratch, "a.safetensors", "--diff", "b.safetensors", "--num-threads", threads), "model.layers.0.w.weight");
            var statistics = tensor.GetProperty("statistics");
            Close(Math.Sqrt(A.Sum(x => (double)x * x)), statistics, "norm");
            Close(A.Average(x => (double)x), statistics, "mean");
            Close(-0.75, statistics, "min");
            Close(0.75, statistics, "max");
            Assert.Equal(A.Count(x => x == 0), statistics.GetProperty("zeros").GetInt64());
            var difference = tensor.GetProperty("difference");
            var delta = Math.Sqrt(A.Zip(B).Sum(pair => Math.Pow((double)pair.First - pair.Second, 2)));
            Close(delta / Math.Sqrt(B.Sum(x => (double)x * x)), difference, "relative_delta");
            Close(A.Zip(B).Sum(pair => (double)pair.First * pair.Second) / Math.Sqrt(A.Sum(x => (double)x * x) * B.Sum(x => (double)x * x)), difference, "cosine");
            Close(A.Zip(B).Count(pair => Math.Sign(pair.First) == Math.Sign(pair.Second)) / (double)A.Length, difference, "sign_agreement");
        }
    }

    [Fact]
    public void Missing_extra_and_unequal_tensors_are_shown_and_not_fatal()
    {
        using var scratch = Files();
        var root = Json(scratch, "a.safetensors", "--diff", "b.safetensors");
        foreach (var name in new[] { "only_a.weight", "only_b.weight", "other_shape.weight" })
            Assert.False(string.IsNullOrEmpty(Tensor(root, name).GetProperty("mismatch").GetString()));
        var text = CommandLine.Run(["inspect", scratch.Join("a.safetensors"), "--diff", scratch.Join("b.safetensors")]);
        Assert.Equal(0, text.ExitCode);
        Assert.Contains("only_b.weight", text.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', text.Output);
    }

    [Fact]
    public void Numbers_that_are_not_finite_are_counted()
    {
        using var scratch = Files();
        var statistics = Tensor(Json(scratch, "a.safetensors"), "bad.weight").GetProperty("statistics");
        Assert.Equal(2, statistics.GetProperty("nan").GetInt64());
        Assert.Equal(1, statistics.GetProperty("infinite").GetInt64());
    }

    [Fact]
    public void Headers_alone_and_a_choice_of_tensors()
    {
        using var scratch = Files();
        Assert.False(Tensor(Json(scratch, "a.safetensors", "--headers"), "bad.weight").TryGetProperty("statistics", out _));
        Assert.Equal(1, Json(scratch, "a.safetensors", "--tensors", "^bad").GetProperty("tensors").GetArrayLength());
        var wrong = CommandLine.Run(["inspect", scratch.Join("a.safetensors"), "--tensors", "["]);
        Assert.Equal(2, wrong.ExitCode);
        Assert.Contains("[", wrong.Error, StringComparison.Ordinal);
        Assert.Equal(2, CommandLine.Run(["inspect", scratch.Join("none")]).ExitCode);
    }

    private static TemporaryFolder Files()
    {
        var scratch = new TemporaryFolder();
        Core.Checkpoints.Writing.SafetensorsFile.Write(scratch.Join("a.safetensors"),
        [
            MemoryTensor.Of("model.layers.0.w.weight", [A.Length], A), MemoryTensor.Of("only_a.weight", [1], [1f]),
            MemoryTensor.Of("other_shape.weight", [2], [1f, 2f]), MemoryTensor.Of("bad.weight", [4], [float.NaN, 1f, float.NegativeInfinity, float.NaN]),
        ]);
        Core.Checkpoints.Writing.SafetensorsFile.Write(scratch.Join("b.safetensors"),
        [
            MemoryTensor.Of("model.layers.0.w.weight", [B.Length], B), MemoryTensor.Of("only_b.weight", [1], [1f]),
            MemoryTensor.Of("other_shape.weight", [1, 2], [1f, 2f]), MemoryTensor.Of("bad.weight", [4], [1f, 1f, 1f, 1f]),
        ]);
        return scratch;
    }

    private static JsonElement Json(TemporaryFolder scratch, string file, params string[] options)
    {
        var result = CommandLine.Run(["inspect", scratch.Join(file), .. options.Select(option => option == "b.safetensors" ? scratch.Join(option) : option), "--json"]);
        Assert.True(result.ExitCode == 0, result.ToString());
        return JsonDocument.Parse(result.Output).RootElement;
    }

    private static JsonElement Tensor(JsonElement root, string name) => root.GetProperty("tensors").EnumerateArray().Single(tensor => tensor.GetProperty("name").GetString() == name);

    private static void Close(double wanted, JsonElement numbers, string key) => Assert.Equal(wanted, numbers.GetProperty(key).GetDouble(), 1e-9 + 1e-6 * Math.Abs(wanted));
}
