using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>The accuracy-cost curve: its ends, its order, its choices.</summary>
public sealed class CascadeCurveTests
{
    [Theory]
    [InlineData(1, 20)]
    [InlineData(2, 57)]
    [InlineData(3, 1)]
    public void Cost_and_threshold_rise_and_the_ends_are_the_models_alone(int seed, int count)
    {
        var random = new SplitMix((ulong)seed);
        double[] confidence = [.. Enumerable.Range(0, count).Select(_ => Math.Round(random.NextDouble(), 1))];
        double[] small = [.. confidence.Select(c => random.NextDouble() < c ? 1.0 : 0.0)];
        double[] large = [.. confidence.Select(_ => random.NextDouble() < 0.8 ? 1.0 : 0.0)];
        var curve = CascadeCurve.Of(confidence, small, large, 2, 9);
        Assert.Equal(confidence.Distinct().Count() + 1, curve.Points.Count);
        Assert.Equal((small.Average(), 2.0), (curve.Points[0].Accuracy, curve.Points[0].Cost));
        Assert.Equal((large.Average(), 11.0), (curve.Points[^1].Accuracy, curve.Points[^1].Cost));
        foreach (var (one, next) in curve.Points.Zip(curve.Points.Skip(1)))
            Assert.True(one.Threshold < next.Threshold && one.Cost < next.Cost);
        foreach (var point in curve.Points)
            Assert.Equal(Enumerable.Range(0, count).Average(i => confidence[i] >= point.Threshold ? small[i] : large[i]), point.Accuracy, 12);
    }

    [Fact]
    public void Choices_that_cannot_be_met_are_none()
    {
        var curve = CascadeCurve.Of([0.9, 0.1], [1, 0], [0, 1], 1, 5);
        Assert.Equal(1.0, curve.ForAccuracy(1)!.Accuracy);
        Assert.Equal(0.9, curve.ForAccuracy(1)!.Threshold);
        Assert.Null(curve.ForBudget(0.5));
        Assert.Null(CascadeCurve.Of([0.5], [0], [0], 1, 5).ForAccuracy(0.1));
        Assert.Throws<InputException>(() => CascadeCurve.Of([0.5], [0], [0, 1], 1, 5));
        Assert.Throws<InputException>(() => CascadeCurve.Of([double.NaN], [0], [0], 1, 5));
    }

    [Fact]
    public void Members_that_agree_have_no_mutual_information()
    {
        var same = MemberUncertainty.Of([[0.2, 0.8], [0.2, 0.8]]);
        Assert.Equal(0, same.MutualInformation, 14);
        var apart = MemberUncertainty.Of([[1, 0], [0, 1]]);
        Assert.Equal((Math.Log(2), 0.0), (apart.MutualInformation, apart.ExpectedEntropy));
        Assert.Equal([0.5, 0.5], apart.Votes);
        Assert.Throws<InputException>(() => MemberUncertainty.Of([[0.5], [0.5, 0.5]]));
    }

    [Fact]
    public void A_student_like_its_teacher_loses_only_against_the_gold()
    {
        double[] logits = [0.3, -1, 2];
        var loss = WordDistillation.Of(WordDistillation.Teacher([logits], [1], 3), logits, 1, 3, 0.4);
        Assert.Equal(0, loss.Kl, 12);
        Assert.Equal(0.6 * loss.GoldNll, loss.Loss, 12);
        Assert.Throws<InputException>(() => WordDistillation.Of([0.0], [1.0], 0, 0, 0.5));
        Assert.Throws<InputException>(() => WordDistillation.Teacher([logits], [-1.0], 1));
    }
}
