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
                    if (TrainedModels.IsPresent(size, model.Name) && (!File.Exists(Beside(size)) || model.Value.TryGetProperty("generation", out _)))
                        data.Add(size, model.Name);
            return data;
        }
    }

    /// <summary>The repository's copy of the references has no generated texts, because they quote evaluation texts: those are read beside it.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void Greedy_ids_are_those_of_the_reference(string size, string name)
    {
        if (!References(size).GetProperty(name).TryGetProperty("generation", out var entries))
            Assert.Skip("not run: the references with generated texts are not beside the repository");
        using var model = LanguageModel.Open(TrainedModels.Folder(size, name), 2);
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

    private static string Beside(string size) => Path.Combine(Repository.Root, "..", "shared", "models", "references", $"references-{size}.json");

    private static JsonElement References(string size)
    {
        var path = File.Exists(Beside(size)) ? Beside(size) : Path.Combine(TrainedModels.References, $"references-{size}.json");
        return JsonDocument.Parse(File.ReadAllText(path)).RootElement.GetProperty("models");
    }
}
