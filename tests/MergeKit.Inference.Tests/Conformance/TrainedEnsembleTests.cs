using System.Text.Json;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>Ensembles of trained models against the references.</summary>
[Trait("Suite", "models")]
public sealed class TrainedEnsembleTests(HeldOutTexts texts) : IClassFixture<HeldOutTexts>
{
    public static TheoryData<string, string, string> Cells => TrainedCells.Of("ensembles");

    [Theory]
    [MemberData(nameof(Cells))]
    public void Negative_log_likelihood_of_held_out_texts_is_that_of_the_reference(string size, string name, string domain)
    {
        var entry = TrainedCells.Section(size, "ensembles").GetProperty(name);
        var folders = Members(entry).Select(member => TrainedCells.Folder(Path.GetDirectoryName(member)!, Path.GetFileName(member))).ToList();
        var ids = texts.Ids(domain, folders[0]);
        var opened = folders.Distinct().ToDictionary(folder => folder, folder => LanguageModel.Open(folder));
        using var ensemble = new Ensemble(name, [.. folders.Select(folder => (ILanguageModel)opened[folder])], Combiner(entry));
        TrainedCells.AssertLikelihood(entry.GetProperty("cells").GetProperty(domain), ensemble, ids);
    }

    private static IEnumerable<string> Members(JsonElement entry) => entry.GetProperty("kind").GetString() == "dexperts"
        ? new[] { "core", "positive", "negative" }.Select(key => entry.GetProperty(key).GetString()!)
        : entry.GetProperty("models").EnumerateArray().Select(model => model.GetString()!);

    private static ICombiner Combiner(JsonElement entry) => entry.GetProperty("kind").GetString() switch
    {
        "linear" => new LinearCombiner(Weights(entry)),
        "loglinear" => new LogLinearCombiner(Weights(entry)),
        "dexperts" => new DExpertsCombiner(entry.GetProperty("lambda").GetDouble()),
        var kind => throw new InvalidOperationException($"the references have an ensemble of the unknown kind '{kind}'"),
    };

    private static double[] Weights(JsonElement entry) => [.. entry.GetProperty("weights").EnumerateArray().Select(weight => weight.GetDouble())];
}
