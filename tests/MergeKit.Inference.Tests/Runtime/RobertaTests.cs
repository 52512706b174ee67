using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

/// <summary>RoBERTa against a forward pass spelled out by hand.</summary>
public class RobertaTests
{
    private const string Json = """
        {"architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 4, "vocab_size": 31, "max_position_embeddings": 20, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5,
         "hidden_act": "gelu"}
        """;

    private static readonly int[] Ids = [0, 17, 1, 5, 29, 2, 1, 1];
    private static readonly int[] Mask = [1, 1, 1, 1, 1, 1, 0, 0];
    private static readonly int[] Positions = [2, 3, 1, 4, 5, 6];

    [Fact]
    public void Positions_count_from_after_the_padding_id()
    {
        var config = ModelConfig.Parse("config.json", Json);
        var weights = new RandomWeights(config, 3);
        var wanted = Naive.Flat(Expected(new Naive(weights)));
        using var model = MaskedLanguageModel.FromSource("roberta", config, weights, 2);
        Assert.Empty(model.Warnings);
        Assert.Equal(18, model.Network.MaxLength);
        var trace = model.Trace(Ids, Mask, [], new TraceOptions(HiddenStates: true));
        Close.Equal(wanted, trace.Logits.AsSpan(0, wanted.Length), 1e-4, "logits");
        Assert.All(trace.Logits[wanted.Length..], value => Assert.Equal(0, value));
        Assert.Equal(2, trace.HiddenStates.Count);
    }

    private static double[][] Expected(Naive n)
    {
        var ids = Ids[..Positions.Length];
        var e = "roberta.embeddings.";
        var h = n.Layer(e + "LayerNorm", Naive.Add(
            n.Embed(e + "word_embeddings.weight", ids, 16), n.Embed(e + "position_embeddings.weight", Positions, 16),
            n.Embed(e + "token_type_embeddings.weight", new int[ids.Length], 16)), 1e-5);
        for (var layer = 0; layer < 2; layer++)
        {
            var p = $"roberta.encoder.layer.{layer}.";
            var s = p + "attention.self.";
            var a = Naive.Attend(n.Linear(s + "query", h), n.Linear(s + "key", h), n.Linear(s + "value", h), 4, 4, 4, 4, 0.5, causal: false);
            h = n.Layer(p + "attention.output.LayerNorm", Naive.Add(h, n.Linear(p + "attention.output.dense", a)), 1e-5);
            var up = Naive.Map(n.Linear(p + "intermediate.dense", h), row => [.. row.Select(Naive.Gelu)]);
            h = n.Layer(p + "output.LayerNorm", Naive.Add(h, n.Linear(p + "output.dense", up)), 1e-5);
        }

        var transformed = n.Layer("lm_head.layer_norm", Naive.Map(n.Linear("lm_head.dense", h), row => [.. row.Select(Naive.Gelu)]), 1e-5);
        var (table, bias) = (n.Weight("roberta.embeddings.word_embeddings.weight"), n.Weight("lm_head.bias"));
        return Naive.Map(transformed, row => [.. Enumerable.Range(0, 31).Select(id => Enumerable.Range(0, 16).Sum(i => row[i] * table[id * 16 + i]) + bias[id])]);
    }
}
