using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>A session that is moved from one sequence to another: the longest common beginning stays in its cache, the rest is fed.</summary>
/// <param name="inner">The session; disposed of together with this.</param>
internal sealed class SyncedSession(ISession inner) : IDisposable
{
    private readonly List<int> _ids = [];

    /// <summary>Writes the logits of the token after a sequence of at least one token.</summary>
    public void Next(ReadOnlySpan<int> ids, Span<float> logits)
    {
        var own = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ids);
        var common = own.CommonPrefixLength(ids);
        if (common < _ids.Count)
        {
            inner.Truncate(common);
            _ids.RemoveRange(common, _ids.Count - common);
        }

        inner.Append(ids[common..]);
        _ids.AddRange(ids[common..]);
        inner.NextLogits(logits);
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
