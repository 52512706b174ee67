namespace MergeKit.Cli.Tests.Conformance;

public class StatisticsCheckTests
{
    private const int Rows = 20, Columns = 100, Count = Rows * Columns;
    private const float Weight = 0.8f;

    private static readonly LoadedTensor Base = LoadedTensor.Float32("t", [Rows, Columns], [.. Enumerable.Range(0, Count).Select(i => MathF.Sin(i))]);
    private static readonly LoadedTensor Tuned = LoadedTensor.Float32("t", [Rows, Columns], [.. Enumerable.Range(0, Count).Select(i => MathF.Sin(i) + Delta(i))]);
    private static readonly double DeltaL1 = Base.Values().Zip(Tuned.Values(), (b, t) => Math.Abs(t - b)).Sum();

    [Fact]
    public void A_fair_result_passes() => Assert.Empty(Findings(Output(Scattered), rescale: false));

    [Fact]
    public void A_rescaled_result_passes_only_with_the_right_L1_norm()
    {
        var plain = Output(Scattered);
        var factor = DeltaL1 / Moved(plain) * Weight * Weight;
        Assert.Empty(Findings(Output(Scattered, factor), rescale: true));
        Assert.NotEmpty(Findings(Output(Scattered, factor * 1.01), rescale: true));
        Assert.NotEmpty(Findings(Output(Scattered, factor), rescale: false));
    }

    [Fact]
    public void Keeping_too_many_or_too_few_is_found()
    {
        Assert.NotEmpty(Findings(Output(i => Scattered(i) || i % 4 == 0), rescale: false));
        Assert.NotEmpty(Findings(Output(i => Scattered(i) && i % 3 != 0), rescale: false));
    }

    [Fact]
    public void Keeping_the_small_ones_is_found_where_halves_are_given()
    {
        var low = Output(i => Rank(i) < 50 && Scattered(2 * i));
        Assert.NotEmpty(Findings(low, rescale: false));
    }

    [Fact]
    public void A_value_of_another_factor_is_found()
    {
        var output = Output(Scattered);
        var kept = Enumerable.Range(0, Count).First(Scattered);
        Assert.Single(Findings(TensorComparisonTests.Change(output, kept, (float)output.Values()[kept] + 0.001f), rescale: false));
    }

    [Fact]
    public void A_change_without_a_delta_is_found()
    {
        var still = Enumerable.Range(0, Count).First(i => Delta(i) == 0);
        Assert.NotEmpty(Findings(TensorComparisonTests.Change(Output(Scattered), still, 3f), rescale: false));
    }

    [Fact]
    public void A_wrong_size_is_found() => Assert.Single(Findings(LoadedTensor.Float32("t", [1], 1f), rescale: false));

    private static List<string> Findings(LoadedTensor output, bool rescale)
    {
        var kept = Enumerable.Range(0, Count).Count(i => Delta(i) != 0) / 2.0;
        var half = (Mean: kept / 2, Sd: 16.0);
        var wanted = new TensorStatistics(Count, kept, 22, rescale ? DeltaL1 * Weight : null, half, half);
        var findings = new List<string>();
        StatisticsCheck.Compare(Base, Tuned, output, wanted, new StatisticsRule(Weight, rescale), findings);
        return findings;
    }

    private static LoadedTensor Output(Func<int, bool> keep, double factor = Weight)
    {
        var (b, t) = (Base.Values(), Tuned.Values());
        return LoadedTensor.Float32("t", [Rows, Columns], [.. Enumerable.Range(0, Count).Select(i => (float)(keep(i) ? b[i] + (factor * (t[i] - b[i])) : b[i]))]);
    }

    private static double Moved(LoadedTensor output) => Base.Values().Zip(output.Values(), (b, o) => Math.Abs(o - b)).Sum();

    /// <summary>Magnitudes grow along the row, so an element's column is its rank; every fiftieth delta is zero.</summary>
    private static float Delta(int i) => i % 50 == 0 ? 0 : 0.01f * (1 + Rank(i)) * (i % 2 == 0 ? 1 : -1);

    private static int Rank(int i) => i % Columns;

    /// <summary>Half of the elements, by a hash (Knuth's multiplier), so that rows and ranks are hit evenly.</summary>
    private static bool Scattered(int i) => ((uint)i * 2654435761u >> 16 & 1) == 1;
}
