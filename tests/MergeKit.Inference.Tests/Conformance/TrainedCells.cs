using System.Text.Json;
using MergeKit.Core.Models;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>The references' cells of merges and ensembles: a definition, and negative log-likelihoods of held-out texts.</summary>
internal static class TrainedCells
{
    private const int Window = 511, EndOfText = 0;
    private const double RelativeTolerance = 1e-4;

    /// <summary>Every cell of a section with a likelihood: size, name, domain. Outside conformance runs only those of the smallest models on the text that
    /// comes with the repository, because all of them take half an hour.</summary>
    public static TheoryData<string, string, string> Of(string section)
    {
        var data = new TheoryData<string, string, string>();
        foreach (var size in Repository.RunUnbuilt ? new[] { "nano", "small", "cross" } : ["nano"])
            foreach (var entry in Section(size, section).EnumerateObject())
                foreach (var cell in entry.Value.GetProperty("cells").EnumerateObject())
                    if (cell.Value.TryGetProperty("nll_sum", out _) && (Repository.RunUnbuilt || cell.Name == "arithmetic"))
                        data.Add(size, entry.Name, cell.Name);
        return data;
    }

    /// <summary>A section of a size's references.</summary>
    public static JsonElement Section(string size, string section) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(TrainedModels.References, $"references-{size}.json"))).RootElement.GetProperty(section);

    /// <summary>The folder of a model. Where it is not at hand, the test is reported as not run; it never passes.</summary>
    public static string Folder(string size, string name)
    {
        if (TrainedModels.Find(size, name) is { } folder)
            return folder;
        Assert.Skip($"not run: the model {size}/{name} is neither in the fixtures nor in the reference data beside the repository");
        return "";
    }

    /// <summary>Scores a text in the references' windows and compares.</summary>
    public static void AssertLikelihood(JsonElement cell, ILanguageModel model, int[] ids)
    {
        Assert.Equal(cell.GetProperty("tokens").GetInt32(), ids.Length);
        var requests = new List<ScoreRequest>();
        for (var start = 0; start < ids.Length; start += Window)
            requests.Add(new ScoreRequest(new[] { EndOfText }, ids.AsMemory(start, Math.Min(Window, ids.Length - start))));
        var expected = cell.GetProperty("nll_sum").GetDouble();
        var nll = -model.LogProbs(requests).Sum(logProbs => logProbs.Sum(value => (double)value));
        Assert.Equal(expected, nll, RelativeTolerance * expected);
    }
}
