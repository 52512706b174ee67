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

    public static TheoryData<string, string> Models
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var size in TrainedModels.Sizes)
                foreach (var model in Cells(size).EnumerateObject())
                    if (TrainedModels.IsPresent(size, model.Name))
                        data.Add(size, model.Name);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Negative_log_likelihood_of_held_out_texts_is_that_of_the_reference(string size, string name)
    {
        using var model = LanguageModel.Open(TrainedModels.Folder(size, name));
        foreach (var cell in Cells(size).GetProperty(name).GetProperty("cells").EnumerateObject())
        {
            if (!cell.Value.TryGetProperty("nll_sum", out var expected))
                continue;
            var ids = texts.Ids(cell.Name, TrainedModels.Folder(size, name));
            Assert.Equal(cell.Value.GetProperty("tokens").GetInt32(), ids.Length);
            var nll = -model.Score(Windows(ids)).Sum(score => score.Sum);
            Assert.Equal(expected.GetDouble(), nll, RelativeTolerance * expected.GetDouble());
        }
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
