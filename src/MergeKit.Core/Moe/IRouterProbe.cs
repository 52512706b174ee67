using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe;

/// <summary>Sees the states of one sequence in one layer.</summary>
/// <param name="layer">The layer.</param>
/// <param name="sequence">Index of the sequence.</param>
/// <param name="states">[tokens, hidden]; lent for the call only.</param>
public delegate void StateVisitor(int layer, int sequence, ReadOnlySpan<float> states);

/// <summary>Runs a model and shows what its routers see, or would see. Batches are ragged: there is no padding to mask.</summary>
public interface IRouterProbe : IDisposable
{
    /// <summary>The most tokens of a sequence.</summary>
    int MaxLength { get; }

    /// <summary>Runs sequences, several at a time, and shows the states of some layers.</summary>
    /// <param name="sequences">Token ids, each at least one.</param>
    /// <param name="input">Which states.</param>
    /// <param name="layers">The layers to show.</param>
    /// <param name="visit">Called once per sequence and layer, by one thread at a time.</param>
    /// <param name="cancellation">Stops between batches.</param>
    void Run(IReadOnlyList<int[]> sequences, GateInput input, IReadOnlyList<int> layers, StateVisitor visit, CancellationToken cancellation);

    /// <summary>The log-likelihood of each sequence after its first token, in nats.</summary>
    double[] Score(IReadOnlyList<int[]> sequences, CancellationToken cancellation);
}

/// <summary>Opens models for probing.</summary>
public interface IRouterProbes
{
    /// <summary>A model that is only planned: its tensors are read, or worked out in memory.</summary>
    IRouterProbe OpenPlanned(string name, ModelConfig config, IReadOnlyList<TensorJob> jobs, ulong seed);

    /// <summary>A model that is written.</summary>
    IRouterProbe OpenFolder(string folder);

    /// <summary>The documents of a file with text.</summary>
    IReadOnlyList<string> ReadTexts(string path);
}
