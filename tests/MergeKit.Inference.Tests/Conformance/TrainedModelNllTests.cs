using System.Text.Json;
using MergeKit.Core.Models;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

[Trait("Suite", "models")]
public class TrainedModelNllTests(HeldOutTexts texts) : IClassFixture<HeldOutTexts>
{
    private const int Window = 511;
    private const int EndOfText = 0;
    private const double RelativeTolerance = 1e-4;

    public static TheoryData<string, string, string> ReferenceCells
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (var size in TrainedModels.Sizes)
                foreach (var model in Cells(size).EnumerateObject().Where(model => TrainedModels.IsPresent(size, model.Name)))
                    foreach (var cell in model.Value.GetProperty("cells").EnumerateObject().Where(cell => cell.Value.TryGetProperty("nll_sum", out _)))
                        data.Add(size, model.Name, cell.Name);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(ReferenceCells))]
    public void Negative_log_likelihood_of_held_out_texts_is_that_of_the_reference(string size, string name, string domain)
    {
        var ids = texts.Ids(domain, TrainedModels.Folder(size, name));
        using var model = LanguageModel.Open(TrainedModels.Folder(size, name));
        var cell = Cells(size).GetProperty(name).GetProperty("cells").GetProperty(domain);
        var expected = cell.GetProperty("nll_sum").GetDouble();
        Assert.Equal(cell.GetProperty("tokens").GetInt32(), ids.Length);
        var nll = -model.Score(Windows(ids)).Sum(score => score.Sum);
        Assert.Equal(expected, nll, RelativeTolerance * expected);
    }

    private static List<ScoreRequest> Windows(int[] ids)
    {
        var requests = new List<ScoreRequest>();
        for (var start = 0; start < ids.Length; start += Window)
            requests.Add(new ScoreRequest(new[] { EndOfText }, ids.AsMemory(start, Math.Min(Window, ids.Length - start))));
        return requests;
    }

    private static JsonElement Cells(string size) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(TrainedModels.References, $"references-{size}.json"))).RootElement.GetProperty("models");
}
