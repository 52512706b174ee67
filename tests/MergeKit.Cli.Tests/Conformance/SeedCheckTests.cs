namespace MergeKit.Cli.Tests.Conformance;

public sealed class SeedCheckTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1f, 1f, 2f, 0)]
    [InlineData(1f, 2f, 3f, 1)]
    [InlineData(1f, 1f, 1f, 1)]
    [InlineData(1f, 2f, 1f, 2)]
    public void The_seed_alone_decides_the_bytes(float first, float again, float other, int count)
    {
        var findings = new List<string>();
        SeedCheck.Compare(Write("first", first), Write("again", again), Write("other", other), findings);
        Assert.Equal(count, findings.Count);
    }

    private string Write(string name, float value)
    {
        var folder = Directory.CreateDirectory(_folder.Join(name)).FullName;
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), LoadedTensor.Float32("a", [1], value));
        return folder;
    }
}
