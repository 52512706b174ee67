using System.Text.Json.Nodes;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Every case of the golden arithmetic whose operation the library has: the library's own code, the suite's tolerances.</summary>
[Trait("Suite", "ensembles")]
public sealed class GoldenArithmeticTests
{
    private static readonly JsonArray AllCases =
        JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Fixtures, "conformance", "ensembles", "cases.json")))!["cases"]!.AsArray();

    public static TheoryData<string> Cases()
    {
        var data = new TheoryData<string>();
        foreach (var test in AllCases)
            if (Repository.RunUnbuilt || GoldenOperations.All.ContainsKey((string)test!["op"]!))
                data.Add((string)test!["id"]!);
        return data;
    }

    /// <summary>Cases with a 32-bit code path of their own; one has inputs that do not fit 32 bits.</summary>
    public static TheoryData<string> SingleCases() =>
        [.. AllCases.Where(test => (string)test!["id"]! != "linear-07-extreme-v50"
            && GoldenOperations.All.TryGetValue((string)test["op"]!, out var operation) && operation.Single is not null).Select(test => (string)test!["id"]!)];

    [Theory]
    [MemberData(nameof(SingleCases))]
    public void Agrees_in_single_precision(string id)
    {
        var test = AllCases.Single(candidate => (string)candidate!["id"]! == id)!;
        var operation = GoldenOperations.All[(string)test["op"]!];
        var differences = new GoldenComparer(JsonNode.Parse("""{"abs": 2e-5, "rel": 2e-5}""")!).Differences(test["expect"]!, operation.Run(test["input"]!.AsObject(), single: true));
        Assert.True(differences.Count == 0, string.Join("\n", differences));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Agrees(string id)
    {
        var test = AllCases.Single(candidate => (string)candidate!["id"]! == id)!;
        var name = (string)test["op"]!;
        Assert.True(GoldenOperations.All.TryGetValue(name, out var operation), $"not built yet: {name}");
        var differences = new GoldenComparer(test["tolerance"]!).Differences(test["expect"]!, operation.Run(test["input"]!.AsObject()));
        Assert.True(differences.Count == 0, string.Join("\n", differences));
    }
}
