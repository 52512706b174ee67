namespace MergeKit.Cli.Tests.Support;

public class RepositoryTests
{
    [Fact]
    public void The_evaluation_text_that_is_in_the_repository_is_found() =>
        Assert.Equal(Path.Combine("arithmetic", "heldout.txt"), Path.GetRelativePath(Path.Combine(Repository.EvalFile("arithmetic", "heldout.txt")!, "..", ".."), Repository.RequireEvalFile("arithmetic", "heldout.txt")));

    [Fact]
    public void A_missing_evaluation_text_never_passes()
    {
        Assert.Null(Repository.EvalFile("no-such-domain", "heldout.txt"));
        var error = Record.Exception(() => Repository.RequireEvalFile("no-such-domain", "heldout.txt"));
        Assert.Contains("not run: the evaluation text no-such-domain/heldout.txt", error?.Message, StringComparison.Ordinal);
    }
}
