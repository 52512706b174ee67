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

    [Theory]
    [MemberData(nameof(Cases))]
    public void Agrees(string id)
    {
        var test = AllCases.Single(candidate => (string)candidate!["id"]! == id)!;
        var name = (string)test["op"]!;
        Assert.True(GoldenOperations.All.TryGetValue(name, out var operation), $"not built yet: {name}");
        var got = operation.Run(test["input"]!.AsObject());
        var differences = new GoldenComparer(test["tolerance"]!).Differences(test["expect"]!, got);
        Assert.True(differences.Count == 0, string.Join("\n", differences));
    }
}
