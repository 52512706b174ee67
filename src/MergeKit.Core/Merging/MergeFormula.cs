namespace MergeKit.Core.Merging;

/// <summary>How a tensor is made, as data: everything that another processor needs to give the bits of <see cref="MergeMethod.Prepare"/>. All steps are
/// float32, each rounded by itself (no fused multiply-add), in the order stated; whole-tensor sums are float64 in the order of
/// <see cref="Numerics.TensorMath.Dot"/> per block of <see cref="TensorInputs.BlockElements"/>, blocks added in order.</summary>
public abstract record MergeFormula;

/// <summary>R = W_0 f_0, then R = W_i f_i + R in order, then R / divisor where that is not 1.</summary>
/// <param name="Factors">One per source.</param>
/// <param name="Divisor">What the sum is divided by.</param>
public sealed record WeightedSum(IReadOnlyList<float> Factors, float Divisor) : MergeFormula;

/// <summary>R = A a, then R = B b + R, where (a, b) are those of <see cref="Methods.Slerp"/> for the whole tensors' dot product and norms.</summary>
/// <param name="A">Source of the first end.</param>
/// <param name="B">Source of the other.</param>
/// <param name="T">Position between them.</param>
public sealed record Arc(int A, int B, double T) : MergeFormula
{
    /// <summary>The factors (a, b).</summary>
    /// <param name="products">A B, A A and B B.</param>
    public (float A, float B) Shares(ReadOnlySpan<double> products) => Methods.Slerp.Shares(T, products);
}

/// <summary>R = (merge of the trimmed, scaled task vectors) lambda + W_b; see <see cref="TaskVectors.TaskVectorScheme"/>.</summary>
/// <param name="BaseIndex">Source of W_b.</param>
/// <param name="Parts">The task vectors in order.</param>
/// <param name="Consensus">Whether signs vote.</param>
/// <param name="Normalize">Whether, after a vote, each entry is divided by the weights that count there.</param>
/// <param name="Rescale">Whether each trimmed task vector is scaled back to its L1 norm.</param>
/// <param name="Divisor">Without a vote: what the sum is divided by; 1 for nothing.</param>
/// <param name="Lambda">The last factor.</param>
public sealed record TaskVectorSum(
    int BaseIndex, IReadOnlyList<TaskVectorPart> Parts, bool Consensus, bool Normalize, bool Rescale, float Divisor, float Lambda) : MergeFormula;

/// <summary>One task vector of a <see cref="TaskVectorSum"/>.</summary>
/// <param name="Source">Source of W_i.</param>
/// <param name="Weight">w_i.</param>
/// <param name="Trim">What becomes zero.</param>
public sealed record TaskVectorPart(int Source, double Weight, EntryTrim Trim);

/// <summary>Which entries of a task vector stay.</summary>
public enum TrimRule
{
    /// <summary>All.</summary>
    Everything,

    /// <summary>None.</summary>
    Nothing,

    /// <summary>All but the <see cref="EntryTrim.DropSmallest"/> smallest and the <see cref="EntryTrim.DropLargest"/> largest magnitudes, by
    /// <see cref="EntryTrim.LowestIndexStays"/> where magnitudes are equal.</summary>
    Ranks,

    /// <summary>Those whose random word is below <see cref="EntryTrim.Below"/>.</summary>
    Random,

    /// <summary>Those whose random word is below a bound that rises with the rank within the row.</summary>
    RowRanks,
}

/// <summary>A trim with its numbers.</summary>
/// <param name="Rule">The rule.</param>
public readonly record struct EntryTrim(TrimRule Rule)
{
    /// <summary>How many of the smallest go.</summary>
    public long DropSmallest { get; init; }

    /// <summary>How many of the largest go.</summary>
    public long DropLargest { get; init; }

    /// <summary>Whether, among the equal magnitudes at the lower cut, the lowest flat indices stay; else they go first. At the upper cut they always stay.</summary>
    public bool LowestIndexStays { get; init; }

    /// <summary>Key of the random words; see <see cref="Numerics.CounterRandom"/>.</summary>
    public ulong Key { get; init; }

    /// <summary>The bound of the random words.</summary>
    public uint Below { get; init; }

    /// <summary>Mean probability of rows.</summary>
    public double Density { get; init; }

    /// <summary>Half the range of probabilities.</summary>
    public double Epsilon { get; init; }
}
