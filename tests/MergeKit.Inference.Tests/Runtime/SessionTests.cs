using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

public class SessionTests
{
    private const string Json = """
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 97, "max_position_embeddings": 6000, "rms_norm_eps": 1e-6,
         "rope_theta": 10000.0, "tie_word_embeddings": true, "use_sliding_window": true, "sliding_window": 40, "max_window_layers": 1}
        """;

    private static LanguageModel Open(int threads = 2, string json = Json)
    {
        var config = ModelConfig.Parse("config.json", json);
        return LanguageModel.FromSource("model", config, new RandomWeights(config), threads);
    }

    private static int[] Ids(int count, int seed = 1) => [.. Enumerable.Range(0, count).Select(i => (i * 31 + i * i * seed + 7 * seed) % 97)];

    private static float[] Next(ISession session)
    {
        var logits = new float[97];
        session.NextLogits(logits);
        return logits;
    }

    [Fact]
    public void A_truncated_session_goes_on_as_if_the_rest_had_never_been_there()
    {
        using var model = Open();
        using var fresh = model.Open();
        using var session = model.Open();
        var ids = Ids(100);
        fresh.Append(ids.AsSpan(0, 60));
        session.Append(ids);
        session.Truncate(60);
        Assert.Equal(60, session.Length);
        Close.Equal(Next(fresh), Next(session), 1e-5, "after truncation");
        session.Append(Ids(20, 3));
        fresh.Append(Ids(20, 3));
        Close.Equal(Next(fresh), Next(session), 1e-5, "after going on");
        session.Truncate(0);
        session.Append(ids.AsSpan(0, 5));
        fresh.Truncate(5);
        Close.Equal(Next(fresh), Next(session), 1e-5, "after starting over");
    }

    [Fact]
    public void Token_by_token_equals_all_at_once()
    {
        using var model = Open();
        using var session = model.Open();
        var ids = Ids(90);
        var trace = model.Trace([ids], new TraceOptions())[0];
        for (var t = 0; t < ids.Length; t++)
        {
            session.Append([ids[t]]);
            Close.Equal(trace.Logits.AsSpan(t * 97, 97), Next(session), 2e-5, $"position {t}");
        }
    }

    [Fact]
    public void Generation_in_a_batch_gives_each_prompt_what_its_session_gives()
    {
        using var model = Open();
        var prompts = Enumerable.Range(0, 40).Select(i => (ReadOnlyMemory<int>)Ids(1 + i % 7).Select(id => (id + i) % 97).ToArray()).ToList();
        var texts = prompts.Select(_ => new List<int>()).ToArray();
        model.Generate(prompts, (index, id) =>
        {
            texts[index].Add(id);
            return texts[index].Count < 1 + index % 5;
        });
        foreach (var (index, prompt) in prompts.Index())
        {
            using var session = model.Open();
            session.Append(prompt.Span);
            var alone = new List<int>();
            while (alone.Count < 1 + index % 5)
            {
                alone.Add(((IGreedySession)session).NextArgMax());
                Assert.Equal(Close.ArgMax(Next(session)), alone[^1]);
                session.Append([alone[^1]]);
            }

            Assert.Equal(alone, texts[index]);
        }
    }

    [Fact]
    public void A_beginning_that_contexts_share_changes_no_score()
    {
        using var model = Open();
        var requests = new List<ScoreRequest>();
        for (var question = 0; question < 9; question++)
        {
            int[] context = [.. Ids(100), .. Ids(20).Select(id => (id + question) % 97)];
            for (var choice = 0; choice < (question % 3 == 2 ? 1 : 3); choice++)
                requests.Add(new ScoreRequest(context, Ids(choice).Append(choice).ToArray()));
        }

        var shared = model.Score(requests);
        for (var i = 0; i < requests.Count; i++)
            Close.Equal(model.Score([requests[i]])[0].LogProbs, shared[i].LogProbs, 1e-4, $"request {i}");
    }

    [Fact]
    public void A_sequence_longer_than_one_pass_equals_its_parts()
    {
        using var model = Open();
        var ids = Ids(5000);
        Assert.True(PassPlanner.CpuTokens(model.Network) < ids.Length);
        using var session = model.Open();
        session.Append(ids.AsSpan(0, 1));
        var whole = model.Score([new ScoreRequest(ids.AsMemory(0, 1), ids.AsMemory(1))])[0];
        var parts = Enumerable.Range(0, 10).Select(part => session.Score(ids.AsSpan(1 + part * 499, 499))).ToList();
        Assert.Equal(4999, whole.LogProbs.Length);
        Close.Equal(whole.LogProbs.AsSpan(0, 4990), parts.SelectMany(part => part.LogProbs).ToArray(), 1e-4, "log-probabilities");
    }

    [Fact]
    public void Cutting_a_pass_changes_nothing_where_rotary_tables_depend_on_the_length()
    {
        const string dynamic = "\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 2.0}, \"rope_theta\": 10000.0, \"max_position_embeddings\": 600";
        using var model = Open(json: Json.Replace("\"max_position_embeddings\": 6000", "\"use_cache\": true", StringComparison.Ordinal)
            .Replace("\"rope_theta\": 10000.0", dynamic, StringComparison.Ordinal));
        Assert.True(model.Network.RotaryDependsOnLength);
        var ids = Ids(4500);
        Assert.True(PassPlanner.CpuTokens(model.Network) < ids.Length);
        using var session = model.Open();
        session.Append(ids);
        var whole = model.Trace([ids], new TraceOptions())[0].Logits;
        Close.Equal(whole.AsSpan(4499 * 97), Next(session), 1e-4, "last logits");
        var score = model.Score([new ScoreRequest(ids.AsMemory(0, 4000), ids.AsMemory(4000))])[0];
        for (var t = 4000; t < ids.Length; t++)
            Assert.Equal(Close.LogProbability(whole.AsSpan((t - 1) * 97, 97), ids[t]), score.LogProbs[t - 4000], 1e-3);
    }

    [Fact]
    public void Scores_are_the_log_softmax_of_the_logits_in_any_batch()
    {
        using var model = Open();
        var requests = Enumerable.Range(1, 40).Select(i => new ScoreRequest(Ids(i * 3, i), Ids(i % 5, i + 1))).ToList();
        var scores = model.Score(requests);
        for (var i = 0; i < requests.Count; i++)
        {
            int[] all = [.. requests[i].Context.Span, .. requests[i].Continuation.Span];
            var logits = model.Trace([all], new TraceOptions())[0].Logits;
            for (var t = 0; t < requests[i].Continuation.Length; t++)
            {
                var row = logits.AsSpan((requests[i].Context.Length + t - 1) * 97, 97);
                var id = requests[i].Continuation.Span[t];
                Assert.Equal(Close.LogProbability(row, id), scores[i].LogProbs[t], 1e-4);
                Assert.Equal(Close.ArgMax(row) == id, scores[i].IsArgMax[t]);
            }
        }
    }

    [Fact]
    public void Continuations_of_a_shared_context_score_as_if_alone()
    {
        using var model = Open();
        var requests = Enumerable.Range(0, 12).Select(i => new ScoreRequest(i == 7 ? Ids(20, 9) : Ids(70), Ids(i % 4 + 1, i + 2))).ToList();
        var scores = model.Score(requests);
        for (var i = 0; i < requests.Count; i++)
        {
            var alone = model.Score([requests[i]])[0];
            Close.Equal(alone.LogProbs, scores[i].LogProbs, 1e-5, $"request {i}");
            Assert.Equal(alone.IsArgMax, scores[i].IsArgMax);
        }
    }

    [Fact]
    public void Threads_and_concurrent_callers_change_nothing()
    {
        using var one = Open(1);
        using var two = Open(2);
        var ids = Ids(70);
        var expected = one.Trace([ids], new TraceOptions())[0].Logits;
        Parallel.For(0, 8, _ => Close.Equal(expected, two.Trace([ids], new TraceOptions())[0].Logits, 1e-5, "logits"));
    }
}
