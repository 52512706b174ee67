namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>How a tensor of a GGUF file differs from the model's.</summary>
internal enum GgufChange
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>Rows of queries: the two halves of each head are interleaved where the family's rotation wants it.</summary>
    Queries,

    /// <summary>Rows of keys, likewise.</summary>
    Keys,

    /// <summary>1 is added to a norm's weight: the model multiplies by 1 + weight, llama.cpp by what is stored.</summary>
    OnePlus,

    /// <summary>A matrix that the model stores [in, out].</summary>
    Transposed,

    /// <summary>All query heads, all key heads, all value heads, where the model has them by key-value head.</summary>
    GroupedQkv,

    /// <summary>Experts that the model stores [experts, in, out] and the file [experts, out, in].</summary>
    Experts,
}

/// <summary>A tensor's name on both sides. <c>{e}</c> in the model's name stands for a number: the file has these tensors stacked along a new first axis.</summary>
/// <param name="File">In the file, after <c>blk.N.</c>; without <c>.weight</c> or <c>.bias</c> where both follow the same rule.</param>
/// <param name="Model">In the model, after the layer.</param>
/// <param name="Change">What else differs.</param>
internal sealed record GgufName(string File, string Model, GgufChange Change = GgufChange.None)
{
    /// <summary>What stands for the number of a stacked tensor.</summary>
    public const string Number = "{e}";

    /// <summary>Whether the file has several of the model's tensors in one.</summary>
    public bool IsStacked => Model.Contains(Number, StringComparison.Ordinal);
}
