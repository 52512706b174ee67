namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>What is the same for all sequences of an attention.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key-value heads; a divisor of <paramref name="Heads"/>. Query head h reads key-value head h / (Heads / KvHeads).</param>
/// <param name="HeadDim">Width of a query or key head.</param>
/// <param name="ValueDim">Width of a value head.</param>
/// <param name="Scale">Factor on query-key products.</param>
/// <param name="Causal">Whether a query sees only keys up to its own position.</param>
/// <param name="Window">A query at p sees keys at p - Window + 1 and later; 0 for no such bound.</param>
/// <param name="Softcap">Scores s become c tanh(s / c) before the bias and the mask; 0 for none.</param>
public readonly record struct AttentionShape(
    int Heads, int KvHeads, int HeadDim, int ValueDim, float Scale, bool Causal, int Window = 0, float Softcap = 0);

/// <summary>One sequence of a ragged batch. Its query i stands at position KeyLength - QueryLength + i; its key j at position j.</summary>
/// <param name="QueryStart">Row of its first query in the batch.</param>
/// <param name="QueryLength">Number of queries.</param>
/// <param name="Keys">Address of the first float of key 0 of key-value head 0.</param>
/// <param name="Values">Address of the first float of value 0 of key-value head 0.</param>
/// <param name="KeyLength">Number of keys, those of the queries included.</param>
/// <param name="KeyTokenStride">Floats from a key to the next of its head.</param>
/// <param name="KeyHeadStride">Floats from a key-value head's keys to the next head's.</param>
/// <param name="ValueTokenStride">Floats from a value to the next of its head.</param>
/// <param name="ValueHeadStride">Floats from a key-value head's values to the next head's.</param>
public readonly record struct AttentionSequence(
    int QueryStart, int QueryLength, nint Keys, nint Values, int KeyLength, int KeyTokenStride, long KeyHeadStride, int ValueTokenStride, long ValueHeadStride);

/// <summary>The operands of an attention.</summary>
/// <param name="Queries">Address of the queries, [tokens, Heads x HeadDim] in float32, rotated.</param>
/// <param name="QueryStride">Floats from one token's queries to the next's.</param>
/// <param name="Sequences">The sequences; their queries lie one after the other.</param>
/// <param name="AlibiSlopes">Per head m: m x key position is added to the scaled score; null for none.</param>
/// <param name="Sinks">Per head one logit that takes part in the softmax's denominator only; null for none.</param>
public sealed record AttentionInputs(
    nint Queries, int QueryStride, AttentionSequence[] Sequences, float[]? AlibiSlopes = null, float[]? Sinks = null);
