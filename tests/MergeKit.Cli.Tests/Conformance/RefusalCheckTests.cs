namespace MergeKit.Cli.Tests.Conformance;

public sealed class RefusalCheckTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("reject", 2, "error: 'weight' of ft_b is missing", 0)]
    [InlineData("reject", 0, "error: 'weight' of ft_b is missing", 1)]
    [InlineData("reject", 2, "error: 'weight' is missing\nerror: ft_b is odd", 1)]
    [InlineData("reject", 2, "error: 'weight' is missing\n  in model FT_B", 0)]
    [InlineData("reject", 2, "", 1)]
    [InlineData("either", 0, "warning: weight, ft_b", 0)]
    [InlineData("either", 2, "error: weight, ft_b", 0)]
    [InlineData("either", 0, "", 1)]
    [InlineData("accept", 0, "", 0)]
    [InlineData("accept", 2, "error: weight, ft_b", 1)]
    [InlineData("perhaps", 0, "weight, ft_b", 1)]
    [InlineData("reject", 2, "weight, ft_b\n   at MergeKit.Program.Main(String[] args)", 1)]
    public void Exit_code_and_one_message_decide(string expect, int exitCode, string error, int count) =>
        Assert.Equal(count, Findings(expect, exitCode, error).Count);

    [Fact]
    public void A_finished_model_left_behind_is_found()
    {
        File.WriteAllText(_folder.Join("model.safetensors"), "");
        Assert.Single(Findings("reject", 2, "weight, ft_b"));
        Assert.Empty(Findings("accept", 0, ""));
    }

    private List<string> Findings(string expect, int exitCode, string error)
    {
        var findings = new List<string>();
        RefusalCheck.Compare(expect, ["weight", "ft_b"], new RunResult(exitCode, "", error), _folder.Path, findings);
        return findings;
    }
}
