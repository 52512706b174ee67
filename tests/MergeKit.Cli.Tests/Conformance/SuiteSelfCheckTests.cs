using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>The comparison against the suite's own data: every expected folder agrees with itself, and no longer does once spoilt.</summary>
public class SuiteSelfCheckTests
{
    public static TheoryData<string> CasesWithModels => [.. Comparable(test => test.Compare is "close" or "bitwise" or "lora").Select(test => test.Name)];

    public static TheoryData<string> CasesWithTokenizers =>
        [.. Comparable(test => RecipeFeatures.Read(test.RecipeText).SetsTokenizer && test.ExpectedFiles.Contains("tokenizer.json")).Select(test => test.Name)];

    [Theory]
    [MemberData(nameof(CasesWithModels))]
    public void What_is_expected_passes_and_a_spoilt_copy_fails(string name)
    {
        var test = MergeSuite.Default.Get(name);
        Assert.Empty(Compare(test, test.ExpectedFolder));
        using var copy = CopyOf(test.ExpectedFolder);
        var file = Directory.GetFiles(copy.Path, "*.safetensors").Order(StringComparer.Ordinal).First();
        var tensors = LoadedTensor.LoadAll(file);

        SafetensorsFile.Write(file, tensors.Values.Skip(1));
        Assert.NotEmpty(Compare(test, copy.Path));

        SafetensorsFile.Write(file, tensors.Values.Select(tensor => tensor with { DType = tensor.DType == DType.F32 ? DType.I32 : DType.I16 }));
        Assert.NotEmpty(Compare(test, copy.Path));

        SafetensorsFile.Write(file, tensors.Values.Select(Spoilt));
        Assert.NotEmpty(Compare(test, copy.Path));
    }

    [Theory]
    [MemberData(nameof(CasesWithTokenizers))]
    public void Swapped_embedding_rows_fail(string name)
    {
        var test = MergeSuite.Default.Get(name);
        using var copy = CopyOf(test.ExpectedFolder);
        var file = copy.Join("model.safetensors");
        SafetensorsFile.Write(file, LoadedTensor.LoadAll(file).Values.Select(tensor => TokenizerCheck.HasTokenRows(tensor.Name) ? FirstRowLast(tensor) : tensor));
        Assert.NotEmpty(Compare(test, copy.Path));
    }

    [Fact]
    public void Every_case_has_a_known_way_to_be_judged() => Assert.All(MergeSuite.Default.Cases, test =>
        Assert.Matches(test.IsError ? "^(reject|either|accept)$" : "^(bitwise|close|statistics|lora)$", test.IsError ? test.Expect : test.Compare));

    private static IEnumerable<MergeCase> Comparable(Func<MergeCase, bool> rule) => MergeSuite.Default.Cases.Where(test => !test.IsError && rule(test));

    private static List<string> Compare(MergeCase test, string folder) =>
        test.Command == "lora" ? MergeComparison.CompareAdapter(test, folder) : MergeComparison.Compare(test, folder);

    private static TemporaryFolder CopyOf(string folder)
    {
        var copy = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(folder))
            File.WriteAllBytes(copy.Join(Path.GetFileName(file)), File.ReadAllBytes(file));
        return copy;
    }

    /// <summary>The second most significant byte of every element, flipped: exponents change.</summary>
    private static LoadedTensor Spoilt(LoadedTensor tensor)
    {
        var bytes = tensor.Bytes.ToArray();
        for (var i = tensor.DType.Size() - 1; i < bytes.Length; i += tensor.DType.Size())
            bytes[i] ^= 0x04;
        return tensor with { Bytes = bytes };
    }

    private static LoadedTensor FirstRowLast(LoadedTensor tensor)
    {
        var row = (int)(tensor.Bytes.Length / tensor.Shape[0]);
        return tensor with { Bytes = [.. tensor.Bytes[row..], .. tensor.Bytes[..row]] };
    }
}
