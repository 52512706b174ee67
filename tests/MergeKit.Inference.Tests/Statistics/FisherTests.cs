using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Statistics;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Statistics;

/// <summary>The recorded diagonal of the Fisher information against its definition.</summary>
public class FisherTests
{
    private const string Model = "llama_gqa_tied";

    [Fact]
    public void The_empirical_fisher_is_the_mean_of_squared_slopes()
    {
        using var reference = new EngineCase(Model);
        var ids = Ids(reference, 10);
        var recorded = Record(reference, [ids[..6], ids[6..]], new StatisticsOptions(StatisticsKind.PerElement, 6, 100, 2) { LabelsOfText = true, PerToken = true });
        Assert.Equal(10, recorded.Tokens);
        foreach (var name in new[] { "model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight", "model.embed_tokens.weight" })
        {
            var fisher = recorded.Tensors.Single(tensor => tensor.Name == name).Values;
            foreach (var element in Enumerable.Range(0, fisher.Length).OrderByDescending(i => fisher[i]).Take(3))
            {
                var slopes = Slopes(reference, name, element, ids[..6]).Concat(Slopes(reference, name, element, ids[6..])).ToList();
                Assert.Equal(slopes.Sum(slope => slope * slope) / slopes.Count, fisher[element], 0.02 * fisher[element]);
            }
        }
    }

    [Fact]
    public void Sequences_with_sampled_labels_have_the_information_of_their_tokens_in_the_mean()
    {
        using var reference = new EngineCase(Model);
        var ids = Ids(reference, 8);
        double[] Means(bool perToken, int seeds) => Enumerable.Range(0, seeds).Select(seed => Record(reference, [ids], new StatisticsOptions(StatisticsKind.PerElement, 8, 100, 2) { PerToken = perToken, Seed = (ulong)seed }))
            .Select(recorded => recorded.Tensors.Select(tensor => (double)tensor.Values.Sum()).ToArray()).Aggregate((a, b) => [.. a.Zip(b, (x, y) => x + y)]).Select(sum => sum / seeds).ToArray();
        var (tokens, sequences) = (Means(perToken: true, 150), Means(perToken: false, 600));
        for (var i = 0; i < tokens.Length; i++)
            Assert.Equal(tokens[i], sequences[i], 0.15 * tokens[i]);
    }

    [Fact]
    public void Samples_depend_on_the_seed_and_on_nothing_else()
    {
        using var reference = new EngineCase(Model);
        float[] Values(ulong seed, int threads) => [.. Record(reference, [Ids(reference, 12)], new StatisticsOptions(StatisticsKind.PerElement, 12, 100, threads) { Seed = seed }).Tensors.SelectMany(tensor => tensor.Values)];
        var first = Values(3, 1);
        Assert.Equal(first, Values(3, 1));
        Assert.NotEqual(first, Values(4, 1));
        var other = Values(3, 2);
        Assert.All(Enumerable.Range(0, first.Length), i => Assert.Equal(first[i], other[i], 1e-4f * first[i] + 1e-9f));
    }

    [Fact]
    public void Only_the_selected_tensors_are_recorded_and_a_tied_head_is_its_embedding()
    {
        using var reference = new EngineCase(Model);
        var all = Record(reference, [Ids(reference, 6)], new StatisticsOptions(StatisticsKind.PerElement, 6, 100, 1));
        using var input = ModelInput.Open(reference.Folder);
        Assert.Equal(input.Checkpoint.Tensors.Where(tensor => tensor.Name != "lm_head.weight").Select(tensor => tensor.Name).Order(StringComparer.Ordinal), all.Tensors.Select(tensor => tensor.Name));
        var some = Record(reference, [Ids(reference, 6)], new StatisticsOptions(StatisticsKind.PerElement, 6, 100, 1) { Filter = new("layers\\.0\\.mlp") });
        Assert.Equal(3, some.Tensors.Count);
        Assert.All(some.Tensors, tensor => Assert.Equal(all.Tensors.Single(other => other.Name == tensor.Name).Values, tensor.Values));
        Assert.Contains("no tensors of the selected names", Assert.Throws<InputException>(() => Record(reference, [], new StatisticsOptions(StatisticsKind.PerElement, 6, 100, 1) { Filter = new("xyz") })).Message, StringComparison.Ordinal);
        Assert.Contains("at least two tokens", Assert.Throws<InputException>(() => Record(reference, [Ids(reference, 1)], new StatisticsOptions(StatisticsKind.PerElement, 6, 100, 1))).Message, StringComparison.Ordinal);
    }

    private static int[] Ids(EngineCase reference, int count) => [.. reference.Prompts.SelectMany(prompt => reference.Ids(prompt + ".input_ids")).Take(count)];

    private static RecordedStatistics Record(EngineCase reference, int[][] windows, StatisticsOptions options) =>
        FisherRecorder.Record(ModelInput.Open(reference.Folder), windows.Select(ids => (ReadOnlyMemory<int>)ids), options);

    /// <summary>d ln p(token) / d element, for every token after the first, by central differences.</summary>
    private static double[] Slopes(EngineCase reference, string name, int element, int[] ids)
    {
        const double step = 4e-3;
        using var weights = FloatWeights.Load(reference.Folder);
        var (shape, original) = (weights.Shape(name), weights[name]);
        double[] At(double by)
        {
            var values = (float[])original.Clone();
            values[element] += (float)by;
            weights.Set(name, shape, values);
            using var model = LanguageModel.FromSource("m", reference.Config(EngineSuite.ConfigForms[0]), new Borrowed(weights), 1);
            var logits = model.Trace([(ReadOnlyMemory<int>)ids], new TraceOptions())[0].Logits;
            return [.. Enumerable.Range(1, ids.Length - 1).Select(t => Close.LogProbability(logits.AsSpan((t - 1) * model.VocabularySize, model.VocabularySize), ids[t]))];
        }

        return [.. At(step).Zip(At(-step), (plus, minus) => (plus - minus) / (2 * step))];
    }
}
