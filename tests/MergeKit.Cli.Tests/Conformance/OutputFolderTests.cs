namespace MergeKit.Cli.Tests.Conformance;

public sealed class OutputFolderTests : IDisposable
{
    private static readonly LoadedTensor A = LoadedTensor.Float32("a", [2], 1f, 2f);
    private static readonly LoadedTensor B = LoadedTensor.Float32("b", [3], 3f, 4f, 5f);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Shards_with_a_full_index_are_read_together()
    {
        WriteShards("""{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}""");
        var tensors = Read(12, out var findings);
        Assert.Empty(findings);
        Assert.Equal([3.0, 4.0, 5.0], tensors["b"].Values());
        Assert.Equal(2, tensors.Count);
    }

    [Theory]
    [InlineData("""{"weight_map": {"a": "model-00001-of-00002.safetensors"}}""", "does not name tensor 'b'")]
    [InlineData("""{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}}""", "it is in model-00002")]
    [InlineData("""{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "x"}}""", "names tensor 'c'")]
    [InlineData(null, "2 shards without")]
    public void A_wrong_index_is_found(string? index, string finding)
    {
        WriteShards(index);
        Read(null, out var findings);
        Assert.Contains(finding, Assert.Single(findings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(20, 0)]
    [InlineData(19, 1)]
    public void A_shard_of_several_tensors_must_fit_the_limit(long limit, int count)
    {
        SafetensorsFile.Write(_folder.Join("model.safetensors"), A, B);
        Read(limit, out var findings);
        Assert.Equal(count, findings.Count);
    }

    [Fact]
    public void A_shard_of_one_tensor_may_be_larger_than_the_limit()
    {
        SafetensorsFile.Write(_folder.Join("model.safetensors"), B);
        Read(1, out var findings);
        Assert.Empty(findings);
    }

    [Fact]
    public void A_tensor_in_two_files_is_found()
    {
        SafetensorsFile.Write(_folder.Join("model-00001-of-00002.safetensors"), A);
        SafetensorsFile.Write(_folder.Join("model-00002-of-00002.safetensors"), A);
        Read(null, out var findings);
        Assert.Contains(findings, finding => finding.StartsWith("tensor 'a' is in", StringComparison.Ordinal));
    }

    [Fact]
    public void A_broken_file_an_empty_and_a_missing_folder_are_found()
    {
        Read(null, out var empty);
        Assert.Contains("no safetensors file", Assert.Single(empty), StringComparison.Ordinal);
        File.WriteAllText(_folder.Join("model.safetensors"), "not a model");
        Read(null, out var broken);
        Assert.Single(broken);
        var missing = new List<string>();
        OutputFolder.Read(_folder.Join("none"), null, missing);
        Assert.Single(missing);
    }

    private SortedDictionary<string, LoadedTensor> Read(long? limit, out List<string> findings) =>
        OutputFolder.Read(_folder.Path, limit, findings = []);

    private void WriteShards(string? index)
    {
        SafetensorsFile.Write(_folder.Join("model-00001-of-00002.safetensors"), A);
        SafetensorsFile.Write(_folder.Join("model-00002-of-00002.safetensors"), B);
        if (index is not null)
            File.WriteAllText(_folder.Join("model.safetensors.index.json"), index);
    }
}
