using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>The suite's random cases, merged here by the definition with a random stream of the test's own: the comparison must accept
/// that, and refuse the same with another density.</summary>
public class StatisticsSelfCheckTests
{
    public static TheoryData<string> RandomCases => [.. MergeSuite.Default.Cases.Where(test => test.Compare == "statistics").Select(test => test.Name)];

    [Theory]
    [MemberData(nameof(RandomCases))]
    public void A_merge_by_the_definition_passes_and_another_density_fails(string name)
    {
        var test = MergeSuite.Default.Get(name);
        var density = test.Json.GetProperty("statistics").GetProperty("density").GetDouble();
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(test.ExpectedFolder, "config.json"), folder.Join("config.json"));

        Write(test, folder, density);
        Assert.Empty(MergeComparison.Compare(test, folder.Path));
        Write(test, folder, density - 0.1);
        Assert.NotEmpty(MergeComparison.Compare(test, folder.Path));
    }

    private static void Write(MergeCase test, TemporaryFolder folder, double density)
    {
        var features = RecipeFeatures.Read(test.RecipeText);
        var start = LoadedTensor.LoadAll(Path.Combine(test.Root, features.BaseModel!));
        var tuned = LoadedTensor.LoadAll(Path.Combine(test.Root, features.Models.First(path => path != features.BaseModel)));
        var rule = test.Json.GetProperty("statistics");
        SafetensorsFile.Write(folder.Join("model.safetensors"), start.Values.Select((tensor, seed) => Merge(tensor, tuned[tensor.Name], rule, density, (ulong)seed)));
    }

    private static LoadedTensor Merge(LoadedTensor start, LoadedTensor tuned, JsonElement rule, double density, ulong seed)
    {
        var (b, t, row) = (start.Values(), tuned.Values(), (int)start.Shape[^1]);
        var delta = b.Zip(t, (from, to) => to - from).ToArray();
        var epsilon = rule.TryGetProperty("epsilon", out var given) ? given.GetDouble() : 0;
        var kept = new bool[b.Length];
        for (var first = 0; first < b.Length; first += row)
            foreach (var (i, rank) in Enumerable.Range(first, row).OrderBy(i => Math.Abs(delta[i])).Select((i, rank) => (i, rank)))
                kept[i] = Uniform(seed, (ulong)i) < density - epsilon + (2 * epsilon * rank / (row - 1));
        var (all, left) = (delta.Sum(Math.Abs), delta.Where((_, i) => kept[i]).Sum(Math.Abs));
        var factor = rule.GetProperty("weight").GetDouble() * (rule.GetProperty("rescale").GetBoolean() && left > 1e-7 ? all / left : 1);
        return LoadedTensor.Float32(start.Name, start.Shape, [.. b.Select((value, i) => (float)(kept[i] ? value + (factor * delta[i]) : value))]);
    }

    /// <summary>SplitMix64 (Steele, Lea, Flood 2014) of a counter, in [0, 1).</summary>
    private static double Uniform(ulong seed, ulong index)
    {
        var z = ((seed << 32) + index + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) / (double)(1UL << 53);
    }
}
