using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Runtime;

public class SamplerTests
{
    private static readonly float[] Logits = [0, 2, 1, 2, -1];

    private static int[] Draws(SamplerOptions options, int count = 4000, int[]? history = null)
    {
        var sampler = new Sampler(options);
        return [.. Enumerable.Range(0, count).Select(step => sampler.Next((float[])Logits.Clone(), history ?? [], step))];
    }

    [Fact]
    public void Temperature_zero_takes_the_lowest_id_of_the_largest_logits() =>
        Assert.All(Draws(new SamplerOptions { Temperature = 0 }, 10), id => Assert.Equal(1, id));

    [Fact]
    public void Frequencies_follow_the_softmax()
    {
        var counts = Draws(new SamplerOptions { Seed = 7 }, 40_000).CountBy(id => id).ToDictionary();
        var weights = Logits.Select(logit => Math.Exp(logit)).ToArray();
        for (var id = 0; id < weights.Length; id++)
        {
            var p = weights[id] / weights.Sum();
            Assert.Equal(p, counts.GetValueOrDefault(id) / 40_000.0, 5 * Math.Sqrt(p * (1 - p) / 40_000));
        }
    }

    [Fact]
    public void Temperature_sharpens()
    {
        var counts = Draws(new SamplerOptions { Temperature = 0.25f }).CountBy(id => id).ToDictionary();
        Assert.True(counts[1] + counts[3] > 3800);
    }

    [Fact]
    public void Top_k_keeps_the_most_probable_ids_and_breaks_ties_by_id()
    {
        Assert.Equal([1, 2, 3], Draws(new SamplerOptions { TopK = 3 }).Distinct().Order());
        Assert.Equal([1], Draws(new SamplerOptions { TopK = 1 }).Distinct());
    }

    [Fact]
    public void Top_p_keeps_ids_until_the_mass_is_reached()
    {
        // probabilities: 0.388 0.388 0.143 0.053 0.019
        Assert.Equal([1], Draws(new SamplerOptions { TopP = 0.3f }).Distinct());
        Assert.Equal([1, 3], Draws(new SamplerOptions { TopP = 0.5f }).Distinct().Order());
        Assert.Equal([1, 2, 3], Draws(new SamplerOptions { TopP = 0.9f }).Distinct().Order());
    }

    [Fact]
    public void Min_p_keeps_ids_near_the_most_probable()
    {
        Assert.Equal([1, 3], Draws(new SamplerOptions { MinP = 0.5f }).Distinct().Order());
        Assert.Equal([1, 2, 3], Draws(new SamplerOptions { MinP = 0.3f }).Distinct().Order());
    }

    [Theory]
    [InlineData(0, 0.7f, 0f)]
    [InlineData(0, 0.95f, 0.01f)]
    [InlineData(40, 0.8f, 0f)]
    [InlineData(40, 1f, 0.05f)]
    [InlineData(0, 1f, 0.1f)]
    public void Only_ids_that_a_full_sort_keeps_are_drawn(int topK, float topP, float minP)
    {
        var logits = Enumerable.Range(0, 3000).Select(i => (float)(6 * Math.Sin(i * 12.9898) * Math.Cos(i * 0.37))).ToArray();
        var sorted = Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).Take(topK > 0 ? topK : logits.Length).ToList();
        var weights = sorted.Select(id => Math.Exp(logits[id])).ToList();
        var (allowed, sum) = (new HashSet<int>(), 0.0);
        for (var i = 0; i < sorted.Count && sum < topP * weights.Sum(); sum += weights[i++])
            if (weights[i] >= minP * weights[0])
                allowed.Add(sorted[i]);
        var sampler = new Sampler(new SamplerOptions { TopK = topK, TopP = topP, MinP = minP });
        var drawn = Enumerable.Range(0, 2000).Select(step => sampler.Next((float[])logits.Clone(), [], step)).ToHashSet();
        Assert.Subset(allowed, drawn);
        Assert.True(drawn.Count > Math.Min(10, allowed.Count / 2));
    }

    [Fact]
    public void A_repetition_penalty_lowers_what_is_already_there()
    {
        var options = new SamplerOptions { Temperature = 0, RepetitionPenalty = 3 };
        Assert.Equal([2], Draws(options, 1, [1, 3, 1, 4]));
    }

    [Fact]
    public void A_seed_fixes_the_draws_and_another_changes_them()
    {
        Assert.Equal(Draws(new SamplerOptions { Seed = 1 }, 50), Draws(new SamplerOptions { Seed = 1 }, 50));
        Assert.NotEqual(Draws(new SamplerOptions { Seed = 1 }, 50), Draws(new SamplerOptions { Seed = 2 }, 50));
    }

    [Fact]
    public void Options_out_of_range_are_all_named()
    {
        var error = Assert.Throws<InputException>(() => new Sampler(new SamplerOptions { Temperature = -1, TopP = 0, MinP = 2, TopK = -1, RepetitionPenalty = 0 }));
        Assert.Equal(5, error.Problems.Count);
    }

    [Fact]
    public void Logits_without_a_finite_largest_are_an_error() =>
        Assert.Throws<InputException>(() => new Sampler(new SamplerOptions()).Next([float.NaN, 1], [], 0));
}
