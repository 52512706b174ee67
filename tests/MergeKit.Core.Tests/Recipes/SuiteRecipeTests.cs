using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>The recipes of the merge suite.</summary>
public class SuiteRecipeTests
{
    private static readonly string Suite = Path.Combine(Repository.Fixtures, "conformance", "merge");

    /// <summary>Every recipe of the suite with its kind.</summary>
    public static TheoryData<string, string> Recipes()
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Suite, "manifest.json")));
        var data = new TheoryData<string, string>();
        foreach (var entry in manifest.RootElement.GetProperty("cases").EnumerateArray())
            if (entry.TryGetProperty("recipe", out var recipe) && recipe.ValueKind == JsonValueKind.String)
                data.Add(recipe.GetString()!, entry.GetProperty("kind").GetString()!);
        return data;
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void MergeRecipesAreReadAndOthersFailInWords(string recipe, string kind)
    {
        var path = Path.Combine(Suite, recipe);
        if (kind is "merge" or "multi" or "raw")
        {
            var read = RecipeReader.Read(path);
            Assert.NotEmpty(read);
            Assert.All(read, document => Assert.All(document.Modules, module => Assert.All(module.Slices, slice => Assert.NotEmpty(slice.Sources))));
            Assert.Equal(read.Count, RecipeSet.BuildOrder(read).Count);
            return;
        }

        try
        {
            Assert.NotEmpty(RecipeReader.Read(path));
        }
        catch (InputException error)
        {
            Assert.All(error.Problems, problem => Assert.Equal(path, problem.Location?.File));
        }
    }

    [Fact]
    public void DocumentsKeepTheirOwnText()
    {
        var read = RecipeReader.Parse("r.yml", "# first\nname: a\nmerge_method: linear\nmodels: [model: m]\n---\n# second\r\nmerge_method: slerp\r\nmodels: [model: a]\r\n");
        Assert.Equal("# first\nname: a\nmerge_method: linear\nmodels: [model: m]\n", read[0].Yaml);
        Assert.Equal("# second\r\nmerge_method: slerp\r\nmodels: [model: a]\r\n", read[1].Yaml);
    }
}
