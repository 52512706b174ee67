using MergeKit.Core.Checkpoints;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Gpu.Tests.Backends.Cuda;

/// <summary>Ensembles whose members are on the GPU, and combined there, against the same members on the CPU.</summary>
public class CombinedHeadsTests
{
    private static readonly (int Hidden, int Layers, int Vocabulary)[] Shapes = [(256, 2, 1000), (128, 1, 1000), (64, 2, 1016)];

    public static TheoryData<string, CudaType> Cases => new(
        from rule in (string[])["linear", "log-linear", "dexperts", "weight of zero"]
        from type in Enum.GetValues<CudaType>()
        select (rule, type));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Scores_and_laws_are_those_of_the_CPU(string rule, CudaType type)
    {
        using var gpu = Gpu.Open();
        using var expected = Make(rule, config => LanguageModel.FromSource("cpu", config, new RandomWeights(config), 2));
        var contexts = new List<CudaContext>();
        using (var actual = Make(rule, config =>
        {
            // The second member has a context, and a stream, of its own.
            var cuda = contexts.Count == 0 ? gpu.Cuda : new CudaContext(gpu.Cuda.Device.Index);
            contexts.Add(cuda);
            return LanguageModel.FromSource("gpu", config, new RandomWeights(config), network => new CudaBackend(cuda, network, type, ownsContext: cuda != gpu.Cuda));
        }))
        {
            var requests = new[] { 300, 1, 2, 129 }.Select((length, i) => new ScoreRequest(Ids(1, i), Ids(length, 10 + i))).ToList();
            var (wanted, seen) = (expected.Score(requests), actual.Score(requests));
            for (var i = 0; i < requests.Count; i++)
                Assert.InRange(Gpu.Error(wanted[i].LogProbs, seen[i].LogProbs), 0, type == CudaType.Float32 ? 1e-4 : 2e-2);
            Assert.Equal(seen.SelectMany(scores => scores.LogProbs), actual.Score(requests).SelectMany(scores => scores.LogProbs));
            using ISession cpu = expected.Open(), device = actual.Open();
            float[] law = new float[expected.VocabularySize], own = new float[actual.VocabularySize];
            for (var step = 0; step < 4; step++)
            {
                cpu.Append(Ids(3, step));
                device.Append(Ids(3, step));
                cpu.NextLogits(law);
                device.NextLogits(own);
                Assert.InRange(Gpu.Error(law, own), 0, type == CudaType.Float32 ? 1e-4 : 2e-2);
                Assert.InRange(own.Sum(value => Math.Exp(value)), 0.9999, 1.0001);
            }
        }
    }

    private static Ensemble Make(string rule, Func<ModelConfig, LanguageModel> open)
    {
        var members = Shapes.Take(rule == "dexperts" ? 3 : 2).Select(shape => (ILanguageModel)open(Config(shape.Hidden, shape.Layers, shape.Vocabulary))).ToList();
        ICombiner combiner = rule switch
        {
            "linear" => new LinearCombiner([0.3, 0.7]),
            "log-linear" => new LogLinearCombiner([0.6, 0.9]),
            "dexperts" => new DExpertsCombiner(1.3),
            _ => new LinearCombiner([0, 1]),
        };
        return new Ensemble(rule, members, combiner);
    }

    private static ModelConfig Config(int hidden, int layers, int vocabulary) => ModelConfig.Parse("config.json", $$"""
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": {{hidden}}, "intermediate_size": 256, "num_hidden_layers": {{layers}},
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": {{vocabulary}}, "max_position_embeddings": 1024, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false}
        """);

    private static int[] Ids(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => (int)((((uint)i + 1) * 2654435761u + (uint)seed * 40503u) >> 7) % 1000)];
}
