using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>What an engine gave beside what the reference gave.</summary>
public static class EngineComparison
{
    /// <summary>A trace against a prompt's results: hidden states, routing, logits, likelihood.</summary>
    public static void Compare(EngineCase reference, string prompt, ForwardTrace trace, int vocabulary)
    {
        var (ids, logits) = (reference.Ids(prompt + ".input_ids"), reference.Floats(prompt + ".logits"));
        var tolerance = reference.Tolerance("logits_atol");
        Close.Equal(reference.Floats(prompt + ".hidden_0"), trace.HiddenStates[0], reference.Tolerance("hidden_0_atol"), prompt + ".hidden_0");
        foreach (var router in trace.Routers)
            CompareRouter(reference, $"{prompt}.router.{router.Layer}.", router);
        Assert.Equal(reference.Names.Count(name => name.StartsWith(prompt + ".router.", StringComparison.Ordinal)), 2 * trace.Routers.Count);
        Close.Equal(logits, trace.Logits, tolerance, prompt + ".logits");
        var last = Array.ConvertAll(reference.Doubles(prompt + ".logits_last_f64"), value => (float)value);
        Close.Equal(last, trace.Logits.AsSpan((ids.Length - 1) * vocabulary), tolerance, prompt + ".logits_last_f64");
        Assert.Equal(reference.Nll(prompt), Close.Nll(trace.Logits, ids, vocabulary), reference.Tolerance("nll_atol"));
    }

    private static void CompareRouter(EngineCase reference, string prefix, RouterTrace router)
    {
        var (experts, weights) = (reference.Ids(prefix + "indices"), reference.Floats(prefix + "weights"));
        Assert.Equal(experts.Length, router.Experts.Length);
        for (var start = 0; start < experts.Length; start += router.TopK)
        {
            var seen = Enumerable.Range(start, router.TopK).ToDictionary(i => router.Experts[i], i => router.Weights[i]);
            for (var i = start; i < start + router.TopK; i++)
            {
                Assert.True(seen.ContainsKey(experts[i]), $"{prefix}: expert {experts[i]} was not chosen for token {start / router.TopK}");
                Assert.Equal(weights[i], seen[experts[i]], reference.Tolerance("router_weight_atol"));
            }
        }
    }
}
