using System.Diagnostics;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>Ensembles on a GPU beside their members one after the other: scoring documents, and decoding token by token.</summary>
internal static class GpuEnsembleBenchmark
{
    private const int Documents = 16, Length = 2048, Steps = 128;

    /// <summary>Prints one line per rule; members of a 1B shape, the pair of experts with a tenth of its parameters.</summary>
    public static int Run()
    {
        var (usable, reasons) = CudaDevice.Discover();
        if (usable.Count == 0)
        {
            Console.Error.WriteLine("not run: " + string.Join("; ", reasons));
            return 3;
        }

        var large = GpuModelBenchmark.Shapes.First(shape => shape.Name == "llama-1b").Config;
        var small = large.Replace("\"hidden_size\": 2048", "\"hidden_size\": 512", StringComparison.Ordinal)
            .Replace("\"intermediate_size\": 8192", "\"intermediate_size\": 2048", StringComparison.Ordinal)
            .Replace("\"num_hidden_layers\": 16", "\"num_hidden_layers\": 8", StringComparison.Ordinal)
            .Replace("\"num_attention_heads\": 32", "\"num_attention_heads\": 8", StringComparison.Ordinal)
            .Replace("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 2", StringComparison.Ordinal);
        var device = DeviceChoice.OnCuda(usable[0].Index);
        var models = new[] { large, large, small, small }.Select((json, i) =>
        {
            var config = ModelConfig.Parse("config.json", json);
            return LanguageModel.FromSource($"member {i}", config, new RepeatedWeights(config), device: device);
        }).ToArray();
        Console.WriteLine($"# {usable[0].Name}: 1B members, experts of {models[2].WeightBytes / 2e6:f0} M parameters; {Documents} x {Length} scored, {Steps} decoded");
        Console.WriteLine("| rule | against | scoring, s | separately | ratio | decoding, ms a token | separately | ratio |\n|---|---|---|---|---|---|---|---|");
        Row("linear of 2", "the members' sum", new LinearCombiner([0.4, 0.6]), models[..2], models[..2]);
        Row("log_linear of 2", "the members' sum", new LogLinearCombiner([0.4, 0.6]), models[..2], models[..2]);
        Row("dexperts, two small experts", "the base", new DExpertsCombiner(1.2), [models[0], models[2], models[3]], models[..1]);
        foreach (var model in models)
            model.Dispose();
        return 0;
    }

    private static void Row(string rule, string against, ICombiner combiner, LanguageModel[] members, LanguageModel[] peers)
    {
        var ensemble = new Ensemble(rule, members, combiner);
        var (score, scores, decode, decodes) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < 4; round++)
        {
            score.Add(Score(ensemble));
            scores.Add(peers.Sum(Score));
            decode.Add(Decode(ensemble));
            decodes.Add(peers.Sum(Decode));
        }

        double Median(List<double> times) => GpuTimer.Median(times[1..]);
        Console.WriteLine(
            $"| {rule} | {against} | {Median(score):f3} | {Median(scores):f3} | {Median(score) / Median(scores):f2} | {Median(decode):f3} | {Median(decodes):f3} | {Median(decode) / Median(decodes):f2} |");
        Console.Out.Flush();
    }

    private static double Score(ILanguageModel model)
    {
        var ids = Enumerable.Range(0, Documents * Length).Select(i => (int)((uint)i * 2654435761u >> 8) % 128000).ToArray();
        var requests = Enumerable.Range(0, Documents).Select(i => new ScoreRequest(ids.AsMemory(i * Length, 1), ids.AsMemory(i * Length + 1, Length - 1))).ToList();
        var clock = Stopwatch.StartNew();
        model.LogProbs(requests);
        return clock.Elapsed.TotalSeconds;
    }

    /// <summary>Milliseconds a token: the law of every step comes to the host.</summary>
    private static double Decode(ILanguageModel model)
    {
        using var session = model.Open();
        session.Append([.. Enumerable.Range(1, 128)]);
        var law = new float[model.VocabularySize];
        session.NextLogits(law);
        session.Append([7]);
        var clock = Stopwatch.StartNew();
        for (var step = 0; step < Steps; step++)
        {
            session.NextLogits(law);
            session.Append([step * 31 % 1000]);
        }

        return clock.Elapsed.TotalMilliseconds / Steps;
    }
}
