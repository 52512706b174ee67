using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Gradients;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Backends.Gradients;

/// <summary>Gradients of every tensor of the engine suite's models against central differences of the log-likelihood that the CPU backend computes.</summary>
[Trait("Suite", "engine")]
public class GradientTests
{
    private const int MostTokens = 24;

    public static TheoryData<string> Models => [.. EngineSuite.Cases("causal_lm")];

    [Theory]
    [MemberData(nameof(Models))]
    public void The_gradient_of_every_tensor_is_that_of_central_differences(string name)
    {
        using var reference = new EngineCase(name);
        var config = reference.Config(EngineSuite.ConfigForms[0]);
        var ids = reference.Prompts.Select(prompt => reference.Ids(prompt + ".input_ids")).MaxBy(prompt => prompt.Length)!;
        ids = ids[..Math.Min(MostTokens, ids.Length)];
        using var weights = FloatWeights.Load(reference.Folder);
        var gradients = Gradients(config, weights, ids, out var logLikelihood);
        Assert.Equal(CentralDifferences.LogLikelihood(config, weights, ids).Value, logLikelihood, 1e-3);
        Assert.NotEmpty(gradients);
        Assert.All(gradients, pair => Check(config, weights, ids, pair.Key, pair.Value));
        Assert.Contains(gradients, pair => pair.Value.Any(value => Math.Abs(value) > 1e-3));
    }

    /// <summary>Compares g . d with (L(w + h d) - L(w - h d)) / 2h, with Richardson's correction, along d = g / |g| and along a random d.</summary>
    private static void Check(ModelConfig config, RandomWeights weights, int[] ids, string name, float[] gradient)
    {
        if (name.EndsWith("e_score_correction_bias", StringComparison.Ordinal))
        {
            Assert.All(gradient, value => Assert.Equal(0, value)); // it decides which experts are chosen, and nothing else
            return;
        }

        var norm = Math.Sqrt(gradient.Sum(value => (double)value * value));
        var size = Math.Sqrt(weights[name].Sum(value => (double)value * value)) + 1e-3;
        var slope = new CentralDifferences(config, weights, ids, name, norm);
        if (norm > 0)
        {
            var seen = slope.Along(Array.ConvertAll(gradient, value => value / norm), Math.Min(0.02 * size, 0.2 / norm));
            Assert.True(Math.Abs(seen - norm) <= 3e-3 * norm + 2e-3, $"{name}: central differences give {seen:g6} along the gradient, whose norm is {norm:g6}");
        }

        var random = Random(name, gradient.Length);
        var (along, wanted) = (slope.Along(random, 0.01 * size), random.Select((value, i) => value * gradient[i]).Sum());
        Assert.True(Math.Abs(along - wanted) <= 5e-3 * norm + 5e-3, $"{name}: central differences give {along:g6} along a random direction; {wanted:g6} by the gradient of norm {norm:g6}");
    }

    private static double[] Random(string name, int count)
    {
        var dice = new SplitMix((ulong)name.Aggregate(7, (hash, letter) => unchecked(hash * 31 + letter)));
        var values = Array.ConvertAll(dice.Array(count), value => (double)value);
        var norm = Math.Sqrt(values.Sum(value => value * value));
        return Array.ConvertAll(values, value => value / norm);
    }

    private static SortedDictionary<string, float[]> Gradients(ModelConfig config, RandomWeights weights, int[] ids, out double logLikelihood)
    {
        GradientBackend? backend = null;
        var sizes = weights.Names.ToDictionary(name => name, name => (long)weights[name].Length);
        var lookup = ArchitectureCatalog.Get(config).Weights(config).SelectMany(spec => spec.AllNames.Select(name => (name, spec.Name))).ToDictionary(pair => pair.name, pair => pair.Name);
        using var engine = Engine.Create(config, new Borrowed(weights), encoder: false, (_, _, network, _) =>
            backend = new GradientBackend(network, sizes.ToDictionary(pair => lookup.GetValueOrDefault(pair.Key, pair.Key), pair => pair.Value), 2));
        using var cache = backend!.CreateCache();
        var hidden = engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(cache, ids)]));
        int[] rows = [.. Enumerable.Range(0, ids.Length - 1)];
        logLikelihood = backend.Back(engine.Weights.Head, hidden, rows, (row, _) => ids[row + 1]);
        return new SortedDictionary<string, float[]>(
            sizes.Keys.ToDictionary(name => name, name => backend.Parameters.Of(lookup.GetValueOrDefault(name, name)).ToArray()), StringComparer.Ordinal);
    }
}

/// <summary>Slopes of the log-likelihood in one tensor, worked out by changing it.</summary>
internal sealed class CentralDifferences(ModelConfig config, RandomWeights weights, int[] ids, string tensor, double norm)
{
    private const double LeastChange = 1e-3;
    private readonly float[] _original = weights[tensor];
    private readonly string _choices = LogLikelihood(config, weights, ids).Choices;

    /// <summary>The slope along a direction, by steps so small that every token keeps its experts.</summary>
    public double Along(double[] direction, double step)
    {
        while (true)
        {
            var ((coarse, kept), (fine, alsoKept)) = (Slope(direction, step), Slope(direction, step / 2));
            if ((kept && alsoKept) || step * norm < LeastChange)
                return (4 * fine - coarse) / 3;
            step /= 3;
        }
    }

    /// <summary>ln p of the ids after the first, and the experts that were chosen.</summary>
    public static (double Value, string Choices) LogLikelihood(ModelConfig config, RandomWeights weights, int[] ids)
    {
        using var model = LanguageModel.FromSource("m", config, new Borrowed(weights), 1);
        var trace = model.Trace([(ReadOnlyMemory<int>)ids], new TraceOptions(Routers: true))[0];
        var choices = trace.Routers.SelectMany(router => router.Experts.Chunk(router.TopK)).Select(experts => string.Join(' ', experts.Order()));
        return (-Close.Nll(trace.Logits, ids, model.VocabularySize), string.Join(';', choices));
    }

    private (double Slope, bool Kept) Slope(double[] direction, double step)
    {
        var (plus, minus) = (At(direction, step), At(direction, -step));
        weights.Set(tensor, weights.Shape(tensor), _original);
        return ((plus.Value - minus.Value) / (2 * step), plus.Choices == _choices && minus.Choices == _choices);
    }

    private (double Value, string Choices) At(double[] direction, double by)
    {
        weights.Set(tensor, weights.Shape(tensor), [.. _original.Select((value, i) => (float)(value + by * direction[i]))]);
        return LogLikelihood(config, weights, ids);
    }
}
