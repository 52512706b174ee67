using MergeKit.Inference.Ensembles;

namespace MergeKit.Inference.Tests.Ensembles;

public sealed class MemberScheduleTests
{
    [Theory]
    [InlineData("100,100", 2, "0+1:1")]
    [InlineData("100,90", 2, "0+1:1")]
    [InlineData("100,79", 2, "")]
    [InlineData("100,100", 1, "")]
    [InlineData("100,100", 16, "0+1:8")]
    [InlineData("100,100,100", 2, "0+1:1")]
    [InlineData("100,100,100", 16, "0+1:8")]
    [InlineData("100,100,100", 6, "0+1+2:2")]
    [InlineData("13,270,13", 2, "0+2:1")]
    [InlineData("13,270,14,260", 2, "1+3:1 2+0:1")]
    [InlineData("5", 8, "")]
    [InlineData("", 8, "")]
    public void Members_of_one_size_that_share_the_threads_evenly_run_at_once(string bytes, int threads, string sets) => Assert.Equal(
        sets, string.Join(' ', MemberSchedule.Plan([.. bytes.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)], threads)
            .Select(set => $"{string.Join('+', set.Members)}:{set.Threads}")));
}
