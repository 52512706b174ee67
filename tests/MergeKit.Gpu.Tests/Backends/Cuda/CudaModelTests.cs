using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Gpu.Tests.Backends.Cuda;

/// <summary>Whole models of shapes that the kernels of Hopper take, against the CPU: every schedule, prefix sharing, recorded decode steps.</summary>
public class CudaModelTests
{
    private const string Llama = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": false}
        """;

    private const string Moe = """
        {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "hidden_act": "silu", "num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": false}
        """;

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(700)]
    public void Experts_give_what_the_CPU_gives_also_where_most_are_empty(int tokens)
    {
        using var gpu = Gpu.Open();
        var config = ModelConfig.Parse("config.json", Moe);
        foreach (var type in Enum.GetValues<CudaType>())
        {
            // A router of zeros: all scores are equal, so every token goes to the first two experts.
            using var expected = LanguageModel.FromSource("cpu", config, ToFirst(config), 2);
            using var actual = LanguageModel.FromSource("gpu", config, ToFirst(config), network => new CudaBackend(gpu.Cuda, network, type));
            var options = new TraceOptions(Routers: true);
            var (wanted, seen) = (expected.Trace([Ids(tokens)], options)[0], actual.Trace([Ids(tokens)], options)[0]);
            Assert.All(seen.Routers, router => Assert.Equal(Enumerable.Range(0, 2 * tokens).Select(i => i % 2), router.Experts));
            Assert.InRange(Gpu.Error(wanted.Logits, seen.Logits), 0, type == CudaType.Float32 ? 1e-4 : 2e-2);
            Assert.Equal(seen.Logits, actual.Trace([Ids(tokens)], options)[0].Logits);
        }
    }

    [Theory]
    [InlineData(Llama)]
    [InlineData(Moe)]
    public void Sequences_together_get_what_each_gets_alone(string json)
    {
        using var gpu = Gpu.Open();
        using var model = Open(gpu, json);
        var prompts = Enumerable.Range(0, 40).Select(i => (ReadOnlyMemory<int>)Ids(5 + i * 7 % 90, i)).ToList();
        var texts = prompts.Select(_ => new List<int>()).ToArray();
        model.Generate(prompts, (index, id) =>
        {
            texts[index].Add(id);
            return texts[index].Count < 4 + index % 9;
        });
        Assert.All(texts.Index(), text => Assert.Equal(4 + text.Index % 9, text.Item.Count));
        var again = prompts.Select(_ => new List<int>()).ToArray();
        model.Generate(prompts, (index, id) =>
        {
            again[index].Add(id);
            return again[index].Count < 4 + index % 9;
        });
        Assert.Equal(texts.SelectMany(text => text), again.SelectMany(text => text));
        var logits = new float[model.VocabularySize];
        foreach (var (index, text) in texts.Index())
        {
            using var session = model.Open();
            session.Append(prompts[index].Span);
            foreach (var id in text)
            {
                session.NextLogits(logits);
                Assert.InRange(logits.Max() - logits[id], 0, 0.05 * (logits.Max() - logits.Min())); // the choice of the batch, or one as good but for rounding
                session.Append([id]);
            }
        }
    }

    [Fact]
    public void Shared_contexts_and_beginnings_change_nothing_beyond_rounding()
    {
        using var gpu = Gpu.Open();
        using var model = Open(gpu, Llama);
        var examples = Ids(200, 1);
        var requests = new List<ScoreRequest>();
        for (var question = 0; question < 12; question++)
        {
            int[] context = [.. examples, .. Ids(20 + question, 50 + question)];
            for (var choice = 0; choice < (question % 3 == 2 ? 1 : 4); choice++)
                requests.Add(new ScoreRequest(context, Ids(1 + choice * 3, 99 + choice)));
        }

        var shared = model.Score(requests);
        for (var i = 0; i < requests.Count; i++)
        {
            var alone = model.Score([requests[i]])[0];
            Assert.InRange(Gpu.Error(alone.LogProbs, shared[i].LogProbs), 0, 1e-2);
        }

        Assert.Equal(shared.SelectMany(scores => scores.LogProbs), model.Score(requests).SelectMany(scores => scores.LogProbs));
    }

    [Theory]
    [InlineData(CudaType.Float32, 1e-4)]
    [InlineData(CudaType.BFloat16, 2e-2)]
    public void Long_documents_score_as_on_the_CPU(CudaType type, double bound)
    {
        using var gpu = Gpu.Open();
        var config = ModelConfig.Parse("config.json", Llama);
        using var expected = LanguageModel.FromSource("cpu", config, new RandomWeights(config), 2);
        using var actual = LanguageModel.FromSource("gpu", config, new RandomWeights(config), network => new CudaBackend(gpu.Cuda, network, type));
        var requests = new[] { 1500, 1, 2, 300, 129 }.Select((length, i) => new ScoreRequest(Ids(1, i), Ids(length, 10 + i))).ToList();
        var (wanted, seen) = (expected.Score(requests), actual.Score(requests));
        for (var i = 0; i < requests.Count; i++)
            Assert.InRange(Gpu.Error(wanted[i].LogProbs, seen[i].LogProbs), 0, bound);
    }

    [Fact]
    public void A_model_without_room_is_refused_before_it_is_loaded()
    {
        using var gpu = Gpu.Open();
        var (free, total) = gpu.Cuda.Memory.Available();
        var plan = new DevicePlan(CudaType.BFloat16, free, 1 << 20, 1 << 20);
        Assert.Contains("do not fit", plan.Shortage(free, total), StringComparison.Ordinal);
        Assert.Null((plan with { Weights = 1 << 20 }).Shortage(free, total));
    }

    private static LanguageModel Open(Gpu gpu, string json)
    {
        var config = ModelConfig.Parse("config.json", json);
        return LanguageModel.FromSource("model", config, new RandomWeights(config), network => new CudaBackend(gpu.Cuda, network));
    }

    private static RandomWeights ToFirst(ModelConfig config)
    {
        var weights = new RandomWeights(config);
        foreach (var name in weights.Names.Where(name => name.EndsWith("mlp.gate.weight", StringComparison.Ordinal)).ToList())
            weights.Set(name, weights.Shape(name), new float[6 * 256]);
        return weights;
    }

    private static int[] Ids(int count, int seed = 3) => [.. Enumerable.Range(0, count).Select(i => (int)((((uint)i + 1) * 2654435761u + (uint)seed * 40503u) >> 7) % 1000)];
}
