using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Merging;

/// <summary>Models that become one merge after the other on the device, against the same merges written to disk and loaded from there.</summary>
public class CandidateTests
{
    private const string Llama = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": false}
        """;

    private const string Qwen = """
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": true, "use_sliding_window": false}
        """;

    private const string Moe = """
        {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "hidden_act": "silu", "num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": false}
        """;

    private const string Gpt2 = """
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 256, "n_layer": 2, "n_head": 4, "n_positions": 1024, "vocab_size": 1000,
         "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "tie_word_embeddings": true}
        """;

    public static TheoryData<string, string, DType> Models => new()
    {
        { "llama", Llama, DType.BF16 }, { "llama float32", Llama, DType.F32 }, { "llama float16", Llama, DType.F16 }, { "qwen2", Qwen, DType.BF16 }, { "experts", Moe, DType.BF16 },
        { "gpt2", Gpt2, DType.F32 },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_candidate_gives_the_logits_of_the_written_merge(string name, string config, DType type)
    {
        using (Gpu.Open())
        {
            // Only to skip where there is none.
        }

        using var folder = new TemporaryFolder();
        ParentFiles.WriteModels(folder.Path, config, type, 3);
        var device = DeviceChoice.OnCuda(0);
        string[] recipes =
        [
            ParentFiles.Recipe("linear", "", "", "weight: 0.5", "weight: 0.2", "weight: 0.9"), ParentFiles.Recipe("ties", "", "", "weight: 0.5, density: 0.3", "weight: 0.7, density: 0.6"),
            ParentFiles.Recipe("dare_ties", "", "", "weight: 0.5, density: 0.3", "weight: 0.7, density: 0.6"), ParentFiles.Recipe("model_stock", "", "", "", ""),
            ParentFiles.Recipe("linear", "", "", "weight: 0.5", "weight: 0.2", "weight: 0.9"),
        ];
        using var start = ParentFiles.Plan(folder.Path, recipes[^1], raw: false);
        using var candidate = MergedModel.Open(name, start, device);
        Assert.True(candidate.OnDevice);
        var before = Texts(candidate.Model);
        for (var i = 0; i < recipes.Length; i++)
        {
            using var plan = ParentFiles.Plan(folder.Path, recipes[i], raw: false);
            candidate.Rebuild(plan);
            Assert.Equal(recipes[i].Contains("model_stock", StringComparison.Ordinal), candidate.Notes.Any());
            var written = folder.Join($"written-{i}");
            new MergeRunner(plan, new MergeProgress()).Run(written, ResumeMode.Never, _ => new Dictionary<string, string>(), default);
            using var expected = LanguageModel.Open(written, 2, device);
            Assert.Equal(Logits(expected), Logits(candidate.Model));
            Assert.Equal(Texts(expected), Texts(candidate.Model));
        }

        Assert.Equal(before, Texts(candidate.Model));
    }

    private static float[] Logits(LanguageModel model) => [.. model.Trace([Ids(70), Ids(9)], new TraceOptions()).SelectMany(trace => trace.Logits)];

    /// <summary>Generated ids: decode steps are recorded by the first candidate and replayed by the others.</summary>
    private static int[] Texts(LanguageModel model)
    {
        var ids = new List<int>();
        model.Generate([Ids(12), Ids(30)], (index, id) =>
        {
            ids.Add(index * 100000 + id);
            return ids.Count < 40;
        });
        return [.. ids];
    }

    private static ReadOnlyMemory<int> Ids(int count) => Enumerable.Range(0, count).Select(i => i * 37 % 1000).ToArray();
}
