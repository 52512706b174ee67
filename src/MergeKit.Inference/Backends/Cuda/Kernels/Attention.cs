using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>What an attention is, apart from the sizes of a batch.</summary>
/// <param name="Type">Element type.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key-value heads, a divisor of <paramref name="Heads"/>.</param>
/// <param name="HeadDim">Width of a query or key head.</param>
/// <param name="ValueDim">Width of a value head.</param>
/// <param name="Scale">Factor on query-key products.</param>
/// <param name="Causal">Whether a query sees only keys up to its own position.</param>
/// <param name="Window">A query at p sees keys at p - Window + 1 and later; 0 for no such bound.</param>
/// <param name="Softcap">Scores s become c tanh(s / c); 0 for none.</param>
/// <param name="Alibi">Whether slope x key position is added.</param>
/// <param name="Sinks">Whether one logit per head takes part in the denominator only.</param>
internal readonly record struct AttentionForm(
    CudaType Type, int Heads, int KvHeads, int HeadDim, int ValueDim, float Scale, bool Causal, int Window, float Softcap, bool Alibi, bool Sinks)
{
    /// <summary>The form that a layer declares.</summary>
    public static AttentionForm Of(AttentionSpec spec, bool causal, CudaType type) => new(
        type, spec.Heads, spec.KvHeads, spec.HeadDim, spec.ValueDim, spec.Scale, causal, spec.Window ?? 0, spec.Softcap ?? 0, spec.AlibiSlopes is not null, spec.Sinks is not null);

    /// <summary>The macros that kernels are specialised by.</summary>
    public IReadOnlyList<(string Name, int Value)> Defines =>
    [
        ("HEAD_DIM", HeadDim), ("VALUE_DIM", ValueDim), ("CAUSAL", Causal ? 1 : 0), ("WINDOW", Window > 0 ? 1 : 0), ("SOFTCAP", Softcap > 0 ? 1 : 0),
        ("ALIBI", Alibi ? 1 : 0), ("SINKS", Sinks ? 1 : 0),
    ];
}

/// <summary>One sequence of a ragged batch, as kernels read it.</summary>
/// <param name="QueryStart">Row of its first query.</param>
/// <param name="Queries">Its queries.</param>
/// <param name="KeyStart">Row of its first key in ragged buffers.</param>
/// <param name="Keys">Its keys, those of the queries included.</param>
internal readonly record struct DeviceSequence(int QueryStart, int Queries, int KeyStart, int Keys);

/// <summary>A pair of integers, as kernels read it.</summary>
internal readonly record struct Int2(int X, int Y);

/// <summary>Device addresses of an attention's operands. <see cref="Table"/> 0: keys and values are ragged [token][kv head][width]; else pages of 64.</summary>
internal readonly record struct AttentionOperands(
    nint Queries, nint Keys, nint Values, nint Output, nint LogSumExp, nint Sequences, nint Places, nint Tiles, nint Table, int TableStride, nint Slopes, nint Sinks);
