namespace MergeKit.Cli.Tests.Support;

public class RepositoryTests
{
    [Fact]
    public void The_evaluation_text_that_is_in_the_repository_is_found() =>
        Assert.Equal(Path.Combine(Repository.Fixtures, "eval", "arithmetic", "heldout.txt"), Repository.RequireEvalFile("arithmetic", "heldout.txt"));

    [Fact]
    public void A_missing_evaluation_text_never_passes()
    {
        Assert.Null(Repository.EvalFile("no-such-domain", "heldout.txt"));
        var message = "";
        try
        {
            Repository.RequireEvalFile("no-such-domain", "heldout.txt");
        }
        catch (Exception error) // a failure or a dynamic skip, which Record.Exception would let through
        {
            message = error.Message;
        }

        Assert.Contains("not run: the evaluation text no-such-domain/heldout.txt", message, StringComparison.Ordinal);
    }
}
