using System.Runtime.InteropServices;
using System.Text.Json;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>One case of the engine suite: its models and what a correct engine gives.</summary>
public sealed class EngineCase : IDisposable
{
    private readonly Checkpoint _results;
    private readonly JsonElement _references;

    public EngineCase(string name)
    {
        Folder = EngineSuite.Folder(name);
        _results = Checkpoint.Open(Path.Combine(Folder, "references.safetensors"));
        _references = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "references.json"))).RootElement;
    }

    public string Folder { get; }

    public IReadOnlyList<string> Prompts => [.. _references.GetProperty("prompts").EnumerateObject().Select(prompt => prompt.Name)];

    public double Tolerance(string key) => _references.GetProperty("tolerance").GetProperty(key).GetDouble();

    public double Nll(string prompt) => _references.GetProperty("prompts").GetProperty(prompt).GetProperty("nll").GetDouble();

    public bool Has(string name) => _results.Find(name) is not null;

    public IEnumerable<string> Names => _results.Tensors.Select(tensor => tensor.Name);

    /// <summary>The largest difference that the reference itself has when run in bfloat16.</summary>
    public double BFloat16Loss(string prompt) =>
        _references.GetProperty("prompts").GetProperty(prompt).GetProperty("bfloat16_run").GetProperty("logits_max_abs_diff").GetDouble();

    public LanguageModel Open(string form) => LanguageModel.FromSource(form, Config(form), new CheckpointWeightSource(Checkpoint.Open(Folder)), 2);

    public MaskedLanguageModel OpenEncoder(string form) =>
        MaskedLanguageModel.FromSource(form, Config(form), new CheckpointWeightSource(Checkpoint.Open(Folder)), 2);

    public int[] Ids(string name) => Array.ConvertAll(Read<long>(name), value => (int)value);

    public float[] Floats(string name) => Read<float>(name);

    public double[] Doubles(string name) => Read<double>(name);

    public void Dispose() => _results.Dispose();

    public ModelConfig Config(string form)
    {
        var path = Path.Combine(Folder, form);
        return ModelConfig.Parse(path, File.ReadAllText(path));
    }

    private T[] Read<T>(string name) where T : unmanaged
    {
        var tensor = _results.Get(name);
        var values = new T[tensor.ElementCount];
        _results.Read(tensor, 0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }
}

/// <summary>Comparisons that say where and by how much results differ.</summary>
public static class Close
{
    public static void Equal(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (worst, at) = (0.0, 0);
        for (var i = 0; i < expected.Length; i++)
        {
            var difference = Math.Abs((double)expected[i] - actual[i]);
            if (difference <= worst)
                continue;
            (worst, at) = (double.IsNaN(difference) ? double.PositiveInfinity : difference, i);
        }

        Assert.True(worst <= tolerance, $"{what}: differs by {worst:g4} at {at} (tolerance {tolerance:g4}): {expected[at]} wanted, {actual[at]} seen");
        Assert.DoesNotContain(actual.ToArray(), float.IsNaN);
    }

    public static int ArgMax(ReadOnlySpan<float> values) => System.Numerics.Tensors.TensorPrimitives.IndexOfMax(values);

    public static double Nll(ReadOnlySpan<float> logits, ReadOnlySpan<int> ids, int vocabulary)
    {
        var sum = 0.0;
        for (var t = 1; t < ids.Length; t++)
            sum -= LogProbability(logits.Slice((t - 1) * vocabulary, vocabulary), ids[t]);
        return sum;
    }

    public static double LogProbability(ReadOnlySpan<float> logits, int id)
    {
        double max = float.NegativeInfinity, sum = 0;
        foreach (var logit in logits)
            max = Math.Max(max, logit);
        foreach (var logit in logits)
            sum += Math.Exp(logit - max);
        return logits[id] - max - Math.Log(sum);
    }
}
