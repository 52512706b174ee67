using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Tests;

public class CheckpointTests
{
    [Fact]
    public void A_missing_folder_is_named()
    {
        var error = Assert.Throws<Diagnostics.InputException>(() => Checkpoint.Open("/does/not/exist"));
        Assert.Contains("/does/not/exist", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("//")]
    public void A_folder_of_shards_opens_however_its_path_ends(string end)
    {
        using var folder = new TemporaryFolder();
        const string shard = "model-00001-of-00001.safetensors";
        const string header = """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""";
        File.WriteAllBytes(folder.Join(shard), [.. BitConverter.GetBytes((long)header.Length), .. System.Text.Encoding.ASCII.GetBytes(header), 0, 0, 0, 0]);
        File.WriteAllText(folder.Join("model.safetensors.index.json"), $$"""{"weight_map": {"a": "{{shard}}"} }""");
        using var checkpoint = Checkpoint.Open(folder.Path + end);
        Assert.Single(checkpoint.Tensors);
    }
}
