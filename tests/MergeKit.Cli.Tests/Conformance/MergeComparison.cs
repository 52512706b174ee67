using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Holds an output folder against a case's expected one, by the rules of the suite's README. No finding means the case passes.</summary>
internal static class MergeComparison
{
    /// <summary>Everything that one output folder shows: files, configuration, tokenizer, tensors.</summary>
    public static List<string> Compare(MergeCase test, string folder)
    {
        var findings = new List<string>();
        var actual = OutputFolder.Read(folder, ShardLimit(test), findings);
        CheckTypes(test, actual.Values, findings);
        if (test.Config is { } config)
            ConfigCheck.Compare(config, folder, findings);
        ChatTemplateCheck.Compare(test.ExpectedFolder, folder, findings);
        if (test.Compare == "statistics")
            CompareStatistics(test, actual, findings);
        else
            CompareTensors(test, folder, actual, findings);
        return findings;
    }

    /// <summary>The adapter of a <c>lora</c> case.</summary>
    public static List<string> CompareAdapter(MergeCase test, string folder)
    {
        var findings = new List<string>();
        var wanted = AdapterResiduals.Read(Path.Combine(test.ExpectedFolder, "residuals.json"));
        AdapterCheck.CompareConfig(folder, wanted, findings);
        var adapter = OutputFolder.Read(folder, null, findings);
        CheckTypes(test, adapter.Values, findings);
        var (model, baseModel) = (test.Option("--model"), test.Option("--base-model"));
        if (model is null || baseModel is null)
            findings.Add("the manifest's args name no --model and --base-model");
        else
            AdapterCheck.Compare(
                adapter, LoadedTensor.LoadAll(Path.Combine(test.Root, baseModel)), LoadedTensor.LoadAll(Path.Combine(test.Root, model)),
                wanted, test.ResidualTolerance, findings);
        return findings;
    }

    private static long? ShardLimit(MergeCase test) =>
        test.Option("--out-shard-size") is { } text && long.TryParse(text, out var bytes) ? bytes : null;

    private static void CheckTypes(MergeCase test, IEnumerable<LoadedTensor> tensors, List<string> findings)
    {
        if (test.OutDType is { } wanted)
            findings.AddRange(tensors.Where(tensor => tensor.DType.SafetensorsName() != wanted)
                .Select(tensor => $"tensor '{tensor.Name}' has type {tensor.DType.SafetensorsName()}, {wanted} is wanted"));
    }

    private static void CompareStatistics(MergeCase test, SortedDictionary<string, LoadedTensor> actual, List<string> findings)
    {
        var wanted = TensorStatistics.ReadAll(Path.Combine(test.ExpectedFolder, "statistics.json"));
        var features = RecipeFeatures.Read(test.RecipeText);
        var tuned = features.Models.Distinct().Where(path => path != features.BaseModel).ToList();
        if (features.BaseModel is null || tuned.Count != 1)
        {
            findings.Add("statistics need a recipe with a base and one other model");
            return;
        }

        var baseModel = LoadedTensor.LoadAll(Path.Combine(test.Root, features.BaseModel));
        var fineTuned = LoadedTensor.LoadAll(Path.Combine(test.Root, tuned[0]));
        var outline = wanted.Keys.Where(baseModel.ContainsKey).ToDictionary(name => name, name => baseModel[name]);
        findings.AddRange(wanted.Keys.Except(baseModel.Keys).Select(name => $"the base has no tensor '{name}'"));
        foreach (var (start, output) in TensorComparison.Pair(outline, actual, findings))
            StatisticsCheck.Compare(start, fineTuned[start.Name], output, wanted[start.Name], test.Statistics, findings);
    }

    private static void CompareTensors(MergeCase test, string folder, SortedDictionary<string, LoadedTensor> actual, List<string> findings)
    {
        var expected = OutputFolder.Read(test.ExpectedFolder, null, findings);
        if (test.Command == "moe")
            (expected, actual) = (MixtralLayout.Fuse(expected, findings), MixtralLayout.Fuse(actual, findings));
        var pairs = CompareTokenizers(test, folder, TensorComparison.Pair(expected, actual, findings), findings).Without(test.SkipTensors);
        var routerPattern = test.Router?.Pattern;
        if (test.Router is { } router)
            TensorComparison.Close(pairs.Only(router.Pattern), router.Tolerance, findings);
        if (test.Compare == "bitwise")
            TensorComparison.Bitwise(pairs.Without(routerPattern), findings);
        else if (test.Compare == "close")
            TensorComparison.Close(pairs.Without(routerPattern), test.Tolerance, findings);
        else
            findings.Add($"unknown comparison '{test.Compare}'");
    }

    /// <summary>The written vocabulary against the expected one; with a tokenizer setting, rows are brought into the expected numbering.</summary>
    private static List<(LoadedTensor Expected, LoadedTensor Actual)> CompareTokenizers(
        MergeCase test, string folder, List<(LoadedTensor Expected, LoadedTensor Actual)> pairs, List<string> findings)
    {
        if (TokenizerCheck.ReadVocabulary(test.ExpectedFolder) is not { } expected)
            return pairs;
        var features = RecipeFeatures.Read(test.RecipeText);
        var actual = TokenizerCheck.ReadVocabulary(folder);
        var baseFolder = features.BaseModel ?? features.Models.FirstOrDefault();
        var baseTokens = features.SetsTokenizer && baseFolder is not null ? TokenizerCheck.ReadVocabulary(Path.Combine(test.Root, baseFolder)) : null;
        TokenizerCheck.Compare(expected, actual, baseTokens, findings);
        if (test.ExpectedFiles.Contains("tokenizer_config.json") && !File.Exists(Path.Combine(folder, "tokenizer_config.json")))
            findings.Add("no tokenizer_config.json");
        if (!features.SetsTokenizer || actual is null)
            return pairs;
        return [.. pairs.Select(pair => TokenizerCheck.HasTokenRows(pair.Expected.Name)
            ? (pair.Expected, TokenizerCheck.Reorder(pair.Actual, expected, actual, findings) ?? pair.Actual)
            : pair)];
    }
}
