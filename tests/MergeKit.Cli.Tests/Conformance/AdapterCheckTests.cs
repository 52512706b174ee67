namespace MergeKit.Cli.Tests.Conformance;

public sealed class AdapterCheckTests
{
    // W_ft - W_base = [[3, 0], [0, 4]]; the best rank-1 factors keep the 4 and leave 3.
    private static readonly SortedDictionary<string, LoadedTensor> Base = TensorComparisonTests.Set(
        LoadedTensor.Float32("m.weight", [2, 2], 1, 1, 1, 1), LoadedTensor.Float32("norm.weight", [1], 1));

    private static readonly SortedDictionary<string, LoadedTensor> Tuned = TensorComparisonTests.Set(
        LoadedTensor.Float32("m.weight", [2, 2], 4, 1, 1, 5), LoadedTensor.Float32("norm.weight", [1], 2));

    [Theory]
    [InlineData(2f, 2f, true)]
    [InlineData(-1f, -4f, true)]
    [InlineData(2f, 1.9f, false)]
    [InlineData(2f, -2f, false)]
    public void The_residual_decides_and_signs_are_free(float a, float b, bool passes) => Assert.Equal(passes, Findings(Plain(a, b)).Count == 0);

    [Fact]
    public void An_embedding_is_stored_transposed()
    {
        var adapter = TensorComparisonTests.Set(
            LoadedTensor.Float32("base_model.model.m.lora_embedding_A", [1, 2], 0, 2), LoadedTensor.Float32("base_model.model.m.lora_embedding_B", [2, 1], 0, 2), Norm(2));
        Assert.Empty(Findings(adapter, isEmbedding: true));
        Assert.NotEmpty(Findings(adapter, isEmbedding: false));
    }

    [Fact]
    public void A_missing_factor_a_wrong_rank_a_wrong_copy_and_an_extra_tensor_are_found()
    {
        Assert.NotEmpty(Findings(TensorComparisonTests.Set(Norm(2))));
        Assert.NotEmpty(Findings(Plain(2, 2), rank: 2));
        var wrongCopy = Plain(2, 2);
        wrongCopy["base_model.model.norm.weight"] = Norm(1);
        Assert.Single(Findings(wrongCopy));
        var extra = Plain(2, 2);
        extra.Add("x", LoadedTensor.Float32("x", [1], 1));
        Assert.Single(Findings(extra));
    }

    [Theory]
    [InlineData("""{"peft_type": "LORA", "r": 1, "lora_alpha": 1}""", 0)]
    [InlineData("""{"peft_type": "LORA", "r": 1, "lora_alpha": 2}""", 1)]
    [InlineData("""{"r": 2}""", 3)]
    [InlineData(null, 1)]
    public void The_configuration_states_the_largest_rank(string? json, int count)
    {
        using var folder = new TemporaryFolder();
        if (json is not null)
            File.WriteAllText(folder.Join("adapter_config.json"), json);
        var findings = new List<string>();
        AdapterCheck.CompareConfig(folder.Path, Wanted(1, false), findings);
        Assert.Equal(count, findings.Count);
    }

    private static AdapterResiduals Wanted(int rank, bool isEmbedding) =>
        new(new Dictionary<string, AdapterModule> { ["m.weight"] = new(rank, 3, isEmbedding) }, ["norm.weight"]);

    private static SortedDictionary<string, LoadedTensor> Plain(float a, float b) => TensorComparisonTests.Set(
        LoadedTensor.Float32("base_model.model.m.lora_A.weight", [1, 2], 0, a), LoadedTensor.Float32("base_model.model.m.lora_B.weight", [2, 1], 0, b), Norm(2));

    private static LoadedTensor Norm(float value) => LoadedTensor.Float32("base_model.model.norm.weight", [1], value);

    private static List<string> Findings(SortedDictionary<string, LoadedTensor> adapter, bool isEmbedding = false, int rank = 1)
    {
        var findings = new List<string>();
        AdapterCheck.Compare(adapter, Base, Tuned, Wanted(rank, isEmbedding), 1e-3, findings);
        return findings;
    }
}
