using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;

namespace MergeKit.Core.Tests.Inputs;

/// <summary>Hub ids in the local cache. The only test class that sets the cache's variables.</summary>
public sealed class HubCacheTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();
    private readonly string? _before = Environment.GetEnvironmentVariable("HF_HUB_CACHE");

    public HubCacheTests()
    {
        Environment.SetEnvironmentVariable("HF_HUB_CACHE", _scratch.Path);
        foreach (var (reference, commit) in new[] { ("main", "aaa"), ("v2", "bbb") })
        {
            SyntheticModel.Llama(_scratch.Join("models--org--name", "snapshots", commit), reference == "main" ? 1 : 2);
            Directory.CreateDirectory(_scratch.Join("models--org--name", "refs"));
            File.WriteAllText(_scratch.Join("models--org--name", "refs", reference), commit + "\n");
        }
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("HF_HUB_CACHE", _before);
        _scratch.Dispose();
    }

    [Theory]
    [InlineData("org/name", "aaa")]
    [InlineData("org/name@main", "aaa")]
    [InlineData("org/name@v2", "bbb")]
    [InlineData("org/name@bbb", "bbb")]
    public void Branch_tag_and_commit_lead_to_their_snapshot(string text, string commit)
    {
        using var model = ModelInput.Open(text);
        Assert.Equal(commit, Path.GetFileName(model.Folder));
    }

    [Theory]
    [InlineData("org/other", "not in the Hugging Face cache")]
    [InlineData("org/name@v3", "revision 'v3'")]
    [InlineData("org/name@../../x", "not the name of a branch")]
    [InlineData("./nowhere", "no such folder")]
    [InlineData("a/b/c", "no such folder")]
    public void What_is_not_there_is_named(string text, string seen) =>
        Assert.Contains(seen, Assert.Throws<InputException>(() => ModelInput.Open(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_local_folder_has_no_revisions()
    {
        var folder = SyntheticModel.Llama(_scratch.Join("local"), 1);
        Assert.Contains("no revisions", Assert.Throws<InputException>(() => ModelInput.Open($"{folder}@main")).Message, StringComparison.Ordinal);
    }
}
