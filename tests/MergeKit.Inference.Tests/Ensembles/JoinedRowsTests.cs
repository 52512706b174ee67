using MergeKit.Core.Checkpoints;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Ensembles;

/// <summary>Laws that are combined where the rows are computed are those that come of combining whole rows.</summary>
public sealed class JoinedRowsTests : IDisposable
{
    private const int Ids = 97;

    private readonly LanguageModel[] _models =
    [
        Model("""{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 97, "max_position_embeddings": 600, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true}"""),
        Model("""{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1, "head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 104, "max_position_embeddings": 600, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false}"""),
        Model("""{"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 97, "max_position_embeddings": 600, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 8, "sliding_window": 64, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 0.5, "tie_word_embeddings": true}"""),
        Model("""{"architectures": ["PhiForCausalLM"], "model_type": "phi", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 97, "max_position_embeddings": 600, "layer_norm_eps": 1e-5, "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "hidden_act": "gelu_new", "tie_word_embeddings": false}"""),
    ];

    public static TheoryData<string> Rules => ["log_linear", "negative", "perplexity", "dexperts", "nucleus", "domain_differential", "contrastive", "weighted", "context_aware", "linear", "posterior", "twice", "leader"];

    public void Dispose() => Array.ForEach(_models, model => model.Dispose());

    [Theory]
    [MemberData(nameof(Rules))]
    public void Scores_and_next_laws_are_those_of_whole_rows(string rule)
    {
        var (joined, plain) = (Make(rule, model => model), Make(rule, model => new RowsOnly(model)));
        ScoreRequest[] requests = [.. Enumerable.Range(0, 5).Select(i => new ScoreRequest(Text(3 + (9 * i), i), Text(1 + (70 * i), i + 9)))];
        var (scores, wanted) = (joined.Score(requests), plain.Score(requests));
        for (var i = 0; i < requests.Length; i++)
        {
            Close.Equal(Finite(wanted[i].LogProbs), Finite(scores[i].LogProbs), 2e-4, $"request {i}");
            Assert.Equal(wanted[i].IsArgMax, scores[i].IsArgMax);
        }

        using var session = joined.Open();
        using var other = plain.Open();
        foreach (var part in new[] { Text(40, 3), Text(1, 4), Text(1, 5), Text(7, 6) })
        {
            session.Append(part);
            other.Append(part);
            Close.Equal(Finite(Next(other)), Finite(Next(session)), 2e-4, $"after {session.Length} tokens");
        }

        session.Truncate(9);
        other.Truncate(9);
        Close.Equal(Finite(Next(other)), Finite(Next(session)), 2e-4, "after truncation");
        Close.Equal(Finite(other.Score(Text(30, 8)).LogProbs), Finite(session.Score(Text(30, 8)).LogProbs), 2e-4, "continuation");
        using var rows = joined.Rows(requests);
        using var otherRows = plain.Rows(requests);
        var (laws, otherLaws) = (new float[150 * Ids], new float[150 * Ids]);
        rows.Read(3, laws);
        otherRows.Read(3, otherLaws);
        Close.Equal(Finite(otherLaws), Finite(laws), 2e-4, "rows");
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Members_at_once_give_what_they_give_in_turn(string rule)
    {
        var (turns, once) = (Make(rule, model => model), Make(rule, model => model, [[_models[0], _models[1]], [_models[2], _models[3]]]));
        ScoreRequest[] requests = [new ScoreRequest(Text(20, 1), Text(30, 2)), new ScoreRequest(Text(2, 3), Text(3, 4))];
        var wanted = turns.Score(requests);
        Array.ForEach(_models, model => model.UseThreads(1));
        Assert.Equal(wanted.Select(score => score.LogProbs), once.Score(requests).Select(score => score.LogProbs));
        using var session = once.Open();
        using var other = turns.Open();
        session.Append(Text(9, 5));
        other.Append(Text(9, 5));
        Assert.Equal(Next(other), Next(session));
    }

    [Fact]
    public void Rows_of_this_engine_are_joined()
    {
        using var a = ((ILanguageModel)_models[0]).Rows([new ScoreRequest(Text(3, 1), Text(5, 2))]);
        using var b = ((ILanguageModel)_models[2]).Rows([new ScoreRequest(Text(3, 1), Text(5, 2))]);
        var (logProbs, isArgMax) = (new float[5], new bool[5]);
        var sum = new LawCombination(new LawForm(LawRule.LogitSum), Ids, new float[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 });
        Assert.True(((IJoinableRows)a).TryScore([a, b], 0, sum, Text(5, 2), logProbs, isArgMax));
        Assert.True(((IJoinableRows)a).TryRead([a, b], 1, sum with { Coefficients = sum.Coefficients[..4] }, new float[2 * Ids]));
        Assert.False(((IJoinableRows)a).TryScore([a, b], 0, sum with { Form = new LawForm(LawRule.Mixture) }, Text(5, 2), logProbs, isArgMax));
    }

    [Fact]
    public void Two_groups_of_the_same_models_in_other_order_do_not_wait_for_each_other()
    {
        var (one, two) = (new Ensemble("one", [_models[0], _models[1]], new LogLinearCombiner([1, 1])), new Ensemble("two", [_models[1], _models[0]], new LogLinearCombiner([1, 1])));
        ScoreRequest[] request = [new ScoreRequest(Text(1, 1), Text(20, 2))];
        var wanted = one.Score(request)[0].LogProbs;
        Parallel.For(0, 60, i => Close.Equal(wanted, (i % 2 == 0 ? one : two).Score(request)[0].LogProbs, 1e-4, $"turn {i}"));
    }

    [Fact]
    public void A_member_that_is_gone_is_an_error()
    {
        var ensemble = new Ensemble("e", [_models[0], _models[1]], new LogLinearCombiner([1, 1]));
        using var session = ensemble.Open();
        session.Append(Text(5, 1));
        Next(session);
        _models[1].Dispose();
        Assert.Throws<ObjectDisposedException>(() => Next(session));
    }

    private static LanguageModel Model(string json)
    {
        var config = ModelConfig.Parse("config.json", json);
        return LanguageModel.FromSource("model", config, new RandomWeights(config), 2);
    }

    private static int[] Text(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => ((i * 31) + (i * i * seed) + (7 * seed)) % Ids)];

    private static float[] Finite(float[] values) => Array.ConvertAll(values, value => float.IsNegativeInfinity(value) ? -1000 : value);

    private static float[] Next(ISession session)
    {
        var logits = new float[Ids];
        session.NextLogits(logits);
        return logits;
    }

    private Ensemble Make(string rule, Func<ILanguageModel, ILanguageModel> member, IReadOnlyList<IReadOnlyList<ILanguageModel>>? atOnce = null)
    {
        var options = new EnsembleOptions { AtOnce = atOnce ?? [] };
        ILanguageModel[] m = [.. _models.Select(member)];
        return rule switch
        {
            "log_linear" => new Ensemble(rule, m, new LogLinearCombiner([0.4, 0.5, 0.7, 0.2]), options),
            "negative" => new Ensemble(rule, m[..2], new LogLinearCombiner([1.4, -0.5]), options),
            "perplexity" => new Ensemble(rule, m[..3], new PerplexityCombiner(3, 0.1), options),
            "dexperts" => new Ensemble(rule, m[..3], new DExpertsCombiner(1.5), options),
            "nucleus" => new Ensemble(rule, m[..3], new DExpertsCombiner(1.5, 0.7), options),
            "domain_differential" => new Ensemble(rule, m[1..], new DomainDifferentialCombiner(0.6), options),
            "contrastive" => new Ensemble(rule, m[..2], new ContrastiveCombiner(new ContrastiveOptions()), options),
            "weighted" => new Ensemble(rule, m[2..], new ContrastiveCombiner(new ContrastiveOptions { Variant = ContrastiveVariant.Weighted, Alpha = 0 }), options),
            "context_aware" => new Ensemble(rule, [new PrefixedModel(m[0], [5, 6, 7, 8], 0), m[0]], new ContextAwareCombiner(0.5), options),
            "linear" => new Ensemble(rule, m, new LinearCombiner([1, 2, 3, 4]), options),
            "posterior" => new Ensemble(rule, m[..2], new PosteriorCombiner([0.5, 0.5]), options),
            "twice" => new Ensemble(rule, [m[0], m[1], m[0]], new LogLinearCombiner([0.5, 0.3, 0.5]), options),
            _ => new Ensemble(rule, m[..2], new LogLinearCombiner([0.5, 0.5]), options with { LeaderThreshold = 0.012 }),
        };
    }

    /// <summary>A model that gives out rows and nothing else.</summary>
    private sealed class RowsOnly(ILanguageModel inner) : ILanguageModel
    {
        public string Name => inner.Name;

        public int VocabularySize => inner.VocabularySize;

        public int MaxLength => inner.MaxLength;

        public ISession Open() => new Session(inner.Open());

        public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) => inner.Score(requests);

        public void Dispose()
        {
        }

        private sealed class Session(ISession inner) : ISession
        {
            public int Length => inner.Length;

            public void Append(ReadOnlySpan<int> ids) => inner.Append(ids);

            public void Truncate(int length) => inner.Truncate(length);

            public void NextLogits(Span<float> logits) => inner.NextLogits(logits);

            public TokenScores Score(ReadOnlySpan<int> continuation) => inner.Score(continuation);

            public void Dispose() => inner.Dispose();
        }
    }
}
