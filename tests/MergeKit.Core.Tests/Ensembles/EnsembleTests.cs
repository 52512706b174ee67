using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;
using MergeKit.Core.Tests.Evaluation;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>An ensemble is a language model: token by token, in batches and by K numbers per token it says the same.</summary>
public sealed class EnsembleTests
{
    private static readonly int[] Text = [.. "the quick brown fox jumps".Select(CharacterEncoder.Id)];

    private static BigramModel Model(int seed) => new($"m{seed}", (last, next) => (float)Math.Sin((last * 7.1 * seed) + (next * (1.3 + seed))) * 3);

    public static TheoryData<string> Rules => ["linear", "log_linear", "posterior", "perplexity", "pack", "dexperts", "contrastive", "gated", "leader"];

    private static Ensemble Make(string rule)
    {
        ILanguageModel[] models = [Model(1), Model(2), Model(3)];
        return rule switch
        {
            "linear" => new Ensemble(rule, models, new LinearCombiner([0.5, 0.2, 0.3])),
            "log_linear" => new Ensemble(rule, models, new LogLinearCombiner([0.9, 0.4, -0.3])),
            "posterior" => new Ensemble(rule, models, new PosteriorCombiner([1, 1, 2], temper: 0.9, share: 0.02)),
            "perplexity" => new Ensemble(rule, models, new PerplexityCombiner(3, tau: 0.5)),
            "pack" => new Ensemble(rule, models, new PackCombiner(3, steps: 10)),
            "dexperts" => new Ensemble(rule, models, new DExpertsCombiner(0.7, baseTopP: 0.8)),
            "contrastive" => new Ensemble(rule, models[..2], new ContrastiveCombiner(new ContrastiveOptions { Alpha = 0 })),
            "gated" => new Ensemble(rule, models, Gate(), new EnsembleOptions { Classes = [.. Enumerable.Range(0, CharacterEncoder.Size).Select(id => (TokenClass)(id % 5))] }),
            _ => new Ensemble(rule, models, new LinearCombiner([1, 1, 1]), new EnsembleOptions { Leader = 1, LeaderThreshold = 0.035 }),
        };
    }

    private static GatedCombiner Gate()
    {
        var count = GateFeatures.Count(3);
        return new GatedCombiner([.. Enumerable.Range(0, 3).Select(k => Enumerable.Range(0, count).Select(j => Math.Cos((k * 5) + j) / 3).ToArray())], [0.1, 0, -0.1]);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Batches_sessions_and_gold_probabilities_agree(string rule)
    {
        using var ensemble = Make(rule);
        var requests = new[] { (3, 20), (1, 4), (10, 15) }.Select(cut => new ScoreRequest(Text.AsMemory(0, cut.Item1), Text.AsMemory(cut.Item1, cut.Item2 - cut.Item1))).ToList();
        var (scores, logProbs) = (ensemble.Score(requests), ensemble.LogProbs(requests));
        using var rows = ensemble.Rows(requests);
        Assert.Equal(requests.Sum(request => request.Continuation.Length), rows.Count);
        var row = 0;
        for (var i = 0; i < requests.Count; i++)
        {
            using var session = ensemble.Open();
            session.Append(requests[i].Context.Span);
            var (law, read) = (new float[ensemble.VocabularySize], new float[ensemble.VocabularySize]);
            for (var t = 0; t < requests[i].Continuation.Length; t++)
            {
                var id = requests[i].Continuation.Span[t];
                session.NextLogits(law);
                rows.Read(row++, read);
                Assert.Equal(1, law.Sum(value => Math.Exp(value)), 1e-5);
                Assert.Equal(law[id], scores[i].LogProbs[t], 1e-4);
                Assert.Equal(law[id], logProbs[i][t], 1e-4);
                Assert.Equal(law, read, (a, b) => a == b || Math.Abs(a - b) < 1e-4);
                Assert.Equal(RowMath.ArgMax<float>(law) == id, scores[i].IsArgMax[t]);
                session.Append([id]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_truncated_session_goes_on_as_if_the_rest_had_never_been_there(string rule)
    {
        using var ensemble = Make(rule);
        using var session = ensemble.Open();
        using var fresh = ensemble.Open();
        session.Append(Text.AsSpan(0, 4));
        fresh.Append(Text.AsSpan(0, 4));
        session.Append(Text.AsSpan(4, 10));
        session.LogProbs(Text.AsSpan(14, 5));
        session.Truncate(9);
        fresh.Append(Text.AsSpan(4, 5));
        Assert.Equal(9, session.Length);
        Assert.Equal(Next(fresh, ensemble), Next(session, ensemble));
        Assert.Equal(fresh.Score(Text.AsSpan(9, 6)).LogProbs, session.LogProbs(Text.AsSpan(9, 6)), (a, b) => a == b || Math.Abs(a - b) < 1e-4);
        session.Truncate(0);
        session.Append(Text.AsSpan(0, 4));
        fresh.Truncate(4);
        Assert.Equal(Next(fresh, ensemble), Next(session, ensemble));
    }

    [Fact]
    public void The_exact_Bayes_mixture_gives_a_text_the_mean_of_the_members_probabilities()
    {
        ILanguageModel[] models = [Model(1), Model(2)];
        using var ensemble = new Ensemble("bayes", models, new PosteriorCombiner([0.3, 0.7]));
        ScoreRequest[] request = [new ScoreRequest(Text.AsMemory(0, 1), Text.AsMemory(1))];
        var sums = models.Select(model => model.LogProbs(request)[0].Sum(value => (double)value)).ToArray();
        var expected = Math.Log((0.3 * Math.Exp(sums[0] - sums[1])) + 0.7) + sums[1];
        Assert.Equal(expected, ensemble.LogProbs(request)[0].Sum(value => (double)value), 1e-3);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_greedy_pack_has_the_weights_that_its_search_finds_on_the_prompt(bool withLeader)
    {
        ILanguageModel[] models = [Model(1), Model(2), Model(3)];
        using var ensemble = new Ensemble("pack", models, new PackCombiner(3, 10), withLeader ? new EnsembleOptions { LeaderThreshold = 1 } : null);
        double[][] Rows(ILanguageModel model)
        {
            using var session = model.Open();
            return [.. Enumerable.Range(0, 12).Select(position =>
            {
                session.Append(Text.AsSpan(position, 1));
                var logits = new float[model.VocabularySize];
                session.NextLogits(logits);
                return Array.ConvertAll(logits, logit => (double)logit);
            })];
        }

        double[][][] rows = [.. models.Select(Rows)];
        var weights = PackLlmWeights.Greedy([.. rows.Select(row => new ArrayLogits(row[..11]))], Text[1..12], 10).Weights;
        Assert.Equal(1, weights.Sum(), 1e-12);
        Assert.True(weights.Count(weight => weight > 0) > 1);
        double[] sums = [.. Enumerable.Range(0, ensemble.VocabularySize).Select(id => rows.Select((row, k) => weights[k] * row[11][id]).Sum())];
        var total = RowMath.LogSumExp<double>(sums);
        using var one = ensemble.Open();
        one.Append(Text.AsSpan(0, 12));
        var law = new float[ensemble.VocabularySize];
        one.NextLogits(law);
        for (var id = 0; id < law.Length; id++)
            Assert.Equal(sums[id] - total, law[id], 1e-4);
    }

    [Fact]
    public void Members_that_run_at_once_say_the_same_and_the_first_fault_comes_out()
    {
        ILanguageModel[] models = [Model(1), Model(2), Model(3)];
        using var ensemble = new Ensemble("e", models, new LinearCombiner([1, 2, 3]), new EnsembleOptions { AtOnce = [[models[2], models[0]]] });
        using var other = new Ensemble("e", models, new LinearCombiner([1, 2, 3]));
        ScoreRequest[] requests = [new ScoreRequest(Text.AsMemory(0, 3), Text.AsMemory(3, 9))];
        Assert.Equal(other.Score(requests)[0].LogProbs, ensemble.Score(requests)[0].LogProbs);
        Assert.Equal(other.LogProbs(requests)[0], ensemble.LogProbs(requests)[0]);
        using var session = ensemble.Open();
        Assert.Throws<InputException>(() => session.Append(new int[65]));
        ILanguageModel[] bad = [new BigramModel("a", (_, _) => throw new InputException("broken")), new BigramModel("b", (_, _) => throw new InputException("broken"))];
        using var failing = new Ensemble("f", bad, new LinearCombiner([1, 1]), new EnsembleOptions { AtOnce = [bad] });
        Assert.Equal("broken", Assert.Throws<InputException>(() => failing.LogProbs(requests)).Message);
    }

    [Fact]
    public void A_member_without_weight_is_not_run()
    {
        var idle = Model(2);
        using var ensemble = new Ensemble("linear", [Model(1), idle], new LinearCombiner([1, 0]));
        ensemble.LogProbs([new ScoreRequest(Text.AsMemory(0, 1), Text.AsMemory(1))]);
        Assert.Equal(0, idle.Requests);
    }

    [Fact]
    public void A_sure_leader_spares_the_others_and_they_catch_up()
    {
        var counted = new CountingModel(Model(2));
        using var ensemble = new Ensemble("led", [Model(1), counted], new LinearCombiner([1, 1]), new EnsembleOptions { LeaderThreshold = 0 });
        using var session = ensemble.Open();
        session.Append(Text.AsSpan(0, 5));
        Next(session, ensemble);
        Assert.Equal(0, counted.Fed);
        using var careful = new Ensemble("led", [Model(1), counted], new LinearCombiner([1, 1]), new EnsembleOptions { LeaderThreshold = 1 });
        using var other = careful.Open();
        other.Append(Text.AsSpan(0, 5));
        Next(other, careful);
        Assert.Equal(5, counted.Fed);
    }

    [Fact]
    public void Padding_rows_beyond_the_vocabulary_are_cut()
    {
        using var ensemble = new Ensemble("cut", [Model(1), Model(2)], new LinearCombiner([1, 1]), new EnsembleOptions { VocabularySize = 90 });
        ScoreRequest[] request = [new ScoreRequest(Text.AsMemory(0, 1), Text.AsMemory(1, 6))];
        Assert.Equal(ensemble.Score(request)[0].LogProbs, ensemble.LogProbs(request)[0]);
        using var session = ensemble.Open();
        session.Append(Text.AsSpan(0, 1));
        Assert.Equal(1, Next(session, ensemble).Sum(value => Math.Exp(value)), 1e-5);
    }

    [Fact]
    public void A_context_stands_before_everything_but_the_token_that_begins_a_text()
    {
        var model = Model(1);
        int[] begin = [0, .. Text.AsSpan(0, 3)], context = [.. Text.AsSpan(5, 4)];
        using var inner = model.Open();
        using var prefixed = new PrefixedModel(model, context, begin: 0);
        using var session = prefixed.Open();
        inner.Append([0, .. context, .. Text.AsSpan(0, 3)]);
        session.Append(begin);
        Assert.Equal(4, session.Length);
        var (expected, law) = (new float[model.VocabularySize], new float[model.VocabularySize]);
        inner.NextLogits(expected);
        session.NextLogits(law);
        Assert.Equal(expected, law);
        session.Truncate(0);
        session.Append(begin);
        session.NextLogits(law);
        Assert.Equal(expected, law);
    }

    [Fact]
    public void Wrong_use_is_refused()
    {
        using var ensemble = Make("linear");
        using var session = ensemble.Open();
        Assert.Throws<InputException>(() => Next(session, ensemble));
        Assert.Throws<InputException>(() => session.Append([CharacterEncoder.Size]));
        Assert.Throws<InputException>(() => session.Append(new int[65]));
        Assert.Throws<InputException>(() => ensemble.LogProbs([new ScoreRequest(new[] { 1 }, new[] { -1 })]));
        var sizes = Assert.Throws<EnsembleException>(() => new Ensemble("x", [Model(1)], new LinearCombiner([1, 1])));
        Assert.Equal(EnsembleError.InvalidParameter, sizes.Error);
    }

    private static float[] Next(ISession session, ILanguageModel model)
    {
        var law = new float[model.VocabularySize];
        session.NextLogits(law);
        return law;
    }

    /// <summary>Counts the tokens that its sessions are fed.</summary>
    private sealed class CountingModel(BigramModel inner) : ILanguageModel
    {
        public int Fed { get; private set; }

        public string Name => inner.Name;

        public int VocabularySize => inner.VocabularySize;

        public int MaxLength => inner.MaxLength;

        public ISession Open() => new Session(this, inner.Open());

        public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) => inner.Score(requests);

        public void Dispose() => inner.Dispose();

        private sealed class Session(CountingModel model, ISession inner) : ISession
        {
            public int Length => inner.Length;

            public void Append(ReadOnlySpan<int> ids)
            {
                model.Fed += ids.Length;
                inner.Append(ids);
            }

            public void Truncate(int length) => inner.Truncate(length);

            public void NextLogits(Span<float> logits) => inner.NextLogits(logits);

            public TokenScores Score(ReadOnlySpan<int> continuation) => inner.Score(continuation);

            public void Dispose() => inner.Dispose();
        }
    }
}
