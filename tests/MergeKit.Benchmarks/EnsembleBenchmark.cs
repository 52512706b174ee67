using MergeKit.Core.Checkpoints;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>What an ensemble costs: the combiner alone against a plain read of the same rows, and whole ensembles against their members one after the other.</summary>
internal static class EnsembleBenchmark
{
    private const int Vocabulary = 49_152, LargeVocabulary = 128_256, Tokens = 192, DecodeTokens = 24;

    /// <summary>Prints the ratios. Arguments: <c>combine</c>, <c>members</c> (both where neither is given), <c>threads=N</c>, <c>repeat=N</c>.</summary>
    public static int Run(string[] args)
    {
        int Number(string key, int otherwise) => args.Where(arg => arg.StartsWith(key, StringComparison.Ordinal)).Select(arg => int.Parse(arg[key.Length..])).FirstOrDefault(otherwise);
        var (threads, repeat) = (Number("threads=", Environment.ProcessorCount), Number("repeat=", 5));
        var all = !args.Contains("combine") && !args.Contains("members");
        if (all || args.Contains("combine"))
            Combine(repeat);
        if (all || args.Contains("members"))
            Members(threads, repeat);
        return 0;
    }

    /// <summary>One law of three rows of 128,256 logits, on one thread; many rows, so that they come from memory.</summary>
    private static void Combine(int repeat)
    {
        const int members = 3, laws = 48;
        var rows = Enumerable.Range(0, laws * members).Select(row => (ReadOnlyMemory<float>)Row(row)).ToArray();
        var result = new float[LargeVocabulary];
        var bytes = 4.0 * LargeVocabulary * members * laws;
        foreach (var (name, combiner) in new (string, ICombiner)[]
        {
            ("linear", new LinearCombiner([0.5, 0.3, 0.2])), ("log_linear", new LogLinearCombiner([0.5, 0.3, 0.2])), ("log_linear, one negative", new LogLinearCombiner([0.8, 0.5, -0.3])),
            ("dexperts", new DExpertsCombiner(1)), ("dexperts in a nucleus", new DExpertsCombiner(1, 0.95)),
        })
        {
            void Run(int count)
            {
                for (var law = 0; law < count; law++)
                    combiner.Combine(default, rows.AsSpan(law % laws * members, members), result);
            }

            Run(laws * 4); // until the methods are compiled for good
            Thread.Sleep(300);
            var turns = new Turns(repeat, () => Run(laws), () => Read(rows));
            Console.WriteLine($"{name}: {bytes / turns.Fastest(0) / 1e9:F2} GB/s of rows, {1e6 * turns.Fastest(0) / laws:F0} us a law of {members} x {LargeVocabulary}; "
                + $"plain read {bytes / turns.Fastest(1) / 1e9:F2} GB/s; ratio {turns.Ratio(0, 1):F2} (0.80 is wanted of the device's combiner)");
        }
    }

    private static float[] Row(int seed)
    {
        var words = new uint[LargeVocabulary];
        new CounterRandom(7, "row", seed).Fill(0, words);
        return Array.ConvertAll(words, word => ((word >> 8) / (float)(1 << 24) * 16) - 8);
    }

    private static unsafe void Read(ReadOnlyMemory<float>[] rows)
    {
        byte sink = 0;
        foreach (var row in rows)
            fixed (float* data = row.Span)
                sink ^= MemoryReader.Read((byte*)data, row.Length * sizeof(float));
        GC.KeepAlive(sink);
    }

    /// <summary>Ensembles as a recipe sets them up (<c>execution: {members: auto}</c>) against their members one after the other, each with all threads.</summary>
    private static void Members(int threads, int repeat)
    {
        var (large, little) = (Config(576, 1536, 30, 9, 3), Config(192, 512, 8, 3, 3));
        using var weights = new BlockWeights(large, DType.BF16);
        using var other = new BlockWeights(large, DType.BF16);
        using var small = new BlockWeights(little, DType.BF16);
        using var smaller = new BlockWeights(little, DType.BF16);
        (ModelConfig Config, BlockWeights Weights)[] all = [(large, weights), (large, other), (little, small), (little, smaller)];
        LanguageModel[] Open() => [.. all.Select((one, i) => LanguageModel.FromSource($"{i}", one.Config, one.Weights, threads))];
        var (alone, pair, steered) = (Open(), Open()[..2], Open());
        var context = new PrefixedModel(alone[0], [.. Enumerable.Range(1, 16)], null);
        Console.WriteLine($"{threads} threads; members of {weights.Parameters / 1e6:F0} M, experts of {small.Parameters / 1e6:F0} M parameters in bfloat16, {Vocabulary} tokens; medians of {repeat} turns");
        Compare("linear of 2", Ensemble(pair, new LinearCombiner([1, 1]), threads), alone[..2], repeat);
        Compare("log_linear of 2", Ensemble(pair, new LogLinearCombiner([0.5, 0.5]), threads), alone[..2], repeat);
        Compare("dexperts", Ensemble([steered[0], steered[2], steered[3]], new DExpertsCombiner(1), threads), [alone[0], alone[2], alone[3]], repeat);
        Compare("context_aware", new Ensemble("e", [context, alone[0]], new ContextAwareCombiner(0.5)), [context, alone[0]], repeat);
    }

    private static Ensemble Ensemble(LanguageModel[] models, ICombiner combiner, int threads)
    {
        var sets = MemberSchedule.Plan([.. models.Select(model => model.WeightBytes)], threads);
        foreach (var (members, share) in sets)
            Array.ForEach(members, member => models[member].UseThreads(share));
        return new Ensemble("e", models, combiner, new EnsembleOptions { AtOnce = [.. sets.Select(set => set.Members.Select(member => models[member]).ToArray())] });
    }

    private static void Compare(string name, Ensemble ensemble, ILanguageModel[] members, int repeat)
    {
        var ids = Enumerable.Range(0, Tokens + 1).Select(i => i * 7919 % Vocabulary).ToArray();
        ScoreRequest[] request = [new ScoreRequest(ids.AsMemory(0, 1), ids.AsMemory(1))];
        foreach (var (work, tokens, run) in new (string, int, Action<ILanguageModel>)[] { ("scoring", Tokens, model => model.LogProbs(request)), ("decoding", DecodeTokens, Decode) })
        {
            Array.ForEach([ensemble, .. members], run);
            var turns = new Turns(repeat, () => run(ensemble), () => Array.ForEach(members, run), () => run(members[0]));
            Console.WriteLine($"{name}, {work}: {tokens / turns.Fastest(0):F1} tokens/s; {turns.Ratio(1, 0):F3} of the members' sum (at most 1.05 is wanted), {turns.Ratio(2, 0):F3} of the first (dexperts: 1.35)");
        }
    }

    private static void Decode(ILanguageModel model)
    {
        using var session = model.Open();
        var logits = new float[model.VocabularySize];
        session.Append([1, 2, 3]);
        for (var step = 0; step < DecodeTokens; step++)
        {
            session.NextLogits(logits);
            session.Append([step + 7]);
        }

        session.NextLogits(logits); // so that every model has read its last token
    }

    private static ModelConfig Config(int hidden, int intermediate, int layers, int heads, int kvHeads) => ModelConfig.Parse("config.json", $$"""
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": {{hidden}}, "intermediate_size": {{intermediate}}, "num_hidden_layers": {{layers}},
         "num_attention_heads": {{heads}}, "num_key_value_heads": {{kvHeads}}, "vocab_size": {{Vocabulary}}, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true}
        """);
}
