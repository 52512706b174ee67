namespace MergeKit.Inference.Backends;

/// <summary>The most probable tokens after the rows of a pass, which may still be under way.</summary>
public interface IPendingIds
{
    /// <summary>Waits for them: one per row, -1 where the largest logit is no finite number.</summary>
    ReadOnlyMemory<int> Wait();
}

/// <summary>Ids that are there already.</summary>
/// <param name="ids">The ids.</param>
internal sealed class KnownIds(int[] ids) : IPendingIds
{
    /// <inheritdoc/>
    public ReadOnlyMemory<int> Wait() => ids;
}
