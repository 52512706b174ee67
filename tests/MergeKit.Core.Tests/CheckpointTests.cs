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
}
