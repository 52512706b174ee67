namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A checked call of <see cref="FlashAttention"/>, with everything pinned.</summary>
internal readonly unsafe struct AttentionProblem(in AttentionShape shape, AttentionInputs inputs, float* output)
{
    private readonly int _group = shape.Heads / shape.KvHeads;

    /// <summary>What all sequences share.</summary>
    public AttentionShape Shape { get; } = shape;

    /// <summary>The operands.</summary>
    public AttentionInputs Inputs { get; } = inputs;

    /// <summary>Query heads that share a key-value head.</summary>
    public int Group => _group;

    /// <summary>The place in the sequence of a query.</summary>
    public static int Position(in AttentionSequence sequence, int query) => sequence.KeyLength - sequence.QueryLength + query;

    /// <summary>The first key that a query at a position sees.</summary>
    public int FirstKey(int position) => Shape.Window > 0 ? Math.Max(0, position - Shape.Window + 1) : 0;

    /// <summary>The key after the last that a query at a position sees.</summary>
    public int EndKey(int position, int keys) => Shape.Causal ? Math.Clamp(position + 1, 0, keys) : keys;

    /// <summary>The address of a query.</summary>
    public float* Query(in AttentionSequence sequence, int query, int head) =>
        (float*)Inputs.Queries + ((long)(sequence.QueryStart + query) * Inputs.QueryStride) + ((long)head * Shape.HeadDim);

    /// <summary>The address of a key.</summary>
    public static float* Key(in AttentionSequence sequence, int key, int kvHead) =>
        (float*)sequence.Keys + (kvHead * sequence.KeyHeadStride) + ((long)key * sequence.KeyTokenStride);

    /// <summary>The address of a value.</summary>
    public static float* Value(in AttentionSequence sequence, int key, int kvHead) =>
        (float*)sequence.Values + (kvHead * sequence.ValueHeadStride) + ((long)key * sequence.ValueTokenStride);

    /// <summary>The address of a result.</summary>
    public float* Result(in AttentionSequence sequence, int query, int head) =>
        output + ((((long)(sequence.QueryStart + query) * Shape.Heads) + head) * Shape.ValueDim);
}
