namespace MergeKit.Inference.Runtime;

/// <summary>Several engines held at once. Two groups that want the same engines in another order do not wait for each other for ever: whoever cannot have
/// all lets go of all, and waits for the one that was missing.</summary>
internal readonly struct EngineGroup : IDisposable
{
    private readonly IReadOnlyList<Engine> _engines;

    private EngineGroup(IReadOnlyList<Engine> engines) => _engines = engines;

    /// <summary>Takes all of them; an engine may be named twice.</summary>
    /// <exception cref="ObjectDisposedException">The weights of one are gone.</exception>
    public static EngineGroup Enter(IReadOnlyList<Engine> engines)
    {
        var wanted = 0;
        while (true)
        {
            using (engines[wanted].Enter())
            {
                wanted = TakeAll(engines);
                if (wanted == engines.Count)
                    return new EngineGroup(engines);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var engine in _engines)
            engine.Exit();
    }

    /// <summary>How many could be taken: all, or none is kept.</summary>
    private static int TakeAll(IReadOnlyList<Engine> engines)
    {
        var taken = 0;
        var all = false;
        try
        {
            while (taken < engines.Count && engines[taken].TryEnter())
                taken++;
            all = taken == engines.Count;
            return taken;
        }
        finally
        {
            for (var i = 0; !all && i < taken; i++)
                engines[i].Exit();
        }
    }
}
