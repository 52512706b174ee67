using System.Text.Json;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

[Trait("Suite", "models")]
public class TrainedModelGenerationTests
{
    private const double LeastMargin = 1e-3;

    public static TheoryData<string, string> Models
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var size in TrainedModels.Sizes)
                foreach (var model in References(size).EnumerateObject())
                    if (TrainedModels.IsPresent(size, model.Name))
                        data.Add(size, model.Name);
            return data;
        }
    }

    /// <summary>References without generated texts (they quote evaluation texts) have nothing to compare; the model must open all the same.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void Greedy_ids_are_those_of_the_reference(string size, string name)
    {
        using var model = LanguageModel.Open(TrainedModels.Folder(size, name), 2);
        if (!References(size).GetProperty(name).TryGetProperty("generation", out var entries))
            return;
        var sampler = new Sampler(new SamplerOptions { Temperature = 0 });
        var logits = new float[model.VocabularySize];
        foreach (var entry in entries.EnumerateArray().Where(entry => entry.GetProperty("min_margin").GetDouble() > LeastMargin))
        {
            using var session = model.Open();
            session.Append([0, .. Ids(entry, "prompt_ids")]);
            var drawn = new List<int>();
            foreach (var _ in Ids(entry, "new_ids"))
            {
                session.NextLogits(logits);
                drawn.Add(sampler.Next(logits, [], drawn.Count));
                session.Append([drawn[^1]]);
            }

            Assert.Equal(Ids(entry, "new_ids"), drawn);
        }
    }

    private static int[] Ids(JsonElement entry, string key) => [.. entry.GetProperty(key).EnumerateArray().Select(id => id.GetInt32())];

    private static JsonElement References(string size) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(TrainedModels.References, $"references-{size}.json"))).RootElement.GetProperty("models");
}
