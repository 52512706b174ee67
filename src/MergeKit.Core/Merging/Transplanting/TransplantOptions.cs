namespace MergeKit.Core.Merging.Transplanting;

/// <summary>How rows are made for tokens of the donor that the model does not have.</summary>
public enum TransplantMethod
{
    /// <summary>Orthogonal matching pursuit: the donor's row as a combination of few rows of shared tokens; the same combination of the model's rows (Goddard and Fernandes Neto 2025,
    /// "Training-Free Tokenizer Transplantation via Orthogonal Matching Pursuit").</summary>
    Omp,

    /// <summary>The nearest shared tokens in the donor's embedding, weighted.</summary>
    CommonInterpolation,

    /// <summary>The tokens into which the model's own tokenizer cuts the token's text.</summary>
    Subword,

    /// <summary>The mean of the model's rows (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").</summary>
    Mean,

    /// <summary>Zeros.</summary>
    Zero,

    /// <summary>Normal noise of mean 0, as strong as the model's rows.</summary>
    Randn,

    /// <summary>Draws from the normal distribution with the mean and covariance of the model's rows (Hewitt 2021).</summary>
    JohnHewitt,

    /// <summary>A linear map between the two spaces through sparse token bases: each principal direction of the shared tokens' rows (of the narrower model) as a combination of
    /// few of them, by orthogonal matching pursuit; the same combinations of both models' rows are the bases (mergekit's <c>stb</c>).</summary>
    Stb,

    /// <summary>Matching pursuit with the rows of shared tokens turned as rotary positions turn queries and keys, by the position that fits best (mergekit's <c>mp_rope</c>).</summary>
    MpRope,

    /// <summary>A linear map between the two spaces, from the rows of shared tokens along their principal components, applied to the donor's row.</summary>
    LandmarkPca,
}

/// <summary>How neighbours are weighted by <see cref="TransplantMethod.CommonInterpolation"/>.</summary>
public enum NeighbourWeights
{
    /// <summary>By the inverse of the distance (cosine: by the similarity), adding up to one.</summary>
    DistanceProportional,

    /// <summary>The combination nearest to the row among those that add up to one.</summary>
    Barycentric,

    /// <summary>The combination nearest to the row.</summary>
    LeastSquares,
}

/// <summary>How pieces are joined by <see cref="TransplantMethod.Subword"/>.</summary>
public enum SubwordWeights
{
    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>Their sum.</summary>
    Sum,

    /// <summary>A mean with weights that rise by one from piece to piece: towards the last in the embedding, towards the first in the head.</summary>
    WeightedMean,

    /// <summary>The last piece in the embedding, the first in the head.</summary>
    FirstLast,
}

/// <summary>In which matrices a looser match of tokens counts.</summary>
[Flags]
public enum MatchIn
{
    /// <summary>In none.</summary>
    None = 0,

    /// <summary>In the embedding.</summary>
    Embedding = 1,

    /// <summary>In the head.</summary>
    Head = 2,

    /// <summary>In both.</summary>
    Both = 3,
}

/// <summary>How a tokenizer is transplanted.</summary>
public sealed record TransplantOptions
{
    /// <summary>How new rows are made.</summary>
    public TransplantMethod Method { get; init; } = TransplantMethod.Omp;

    /// <summary>The most shared tokens in a combination, or the number of neighbours.</summary>
    public int Neighbours { get; init; } = 64;

    /// <summary>How neighbours are weighted.</summary>
    public NeighbourWeights Weights { get; init; }

    /// <summary>Neighbours by the angle instead of the distance.</summary>
    public bool Cosine { get; init; }

    /// <summary>How pieces are joined.</summary>
    public SubwordWeights Subword { get; init; }

    /// <summary>Where a token of one byte (<c>&lt;0x41&gt;</c>) matches the character of that byte.</summary>
    public MatchIn ByteMatch { get; init; }

    /// <summary>Where a token without a match takes the row of the longest token that it begins with.</summary>
    public MatchIn PrefixMatch { get; init; }

    /// <summary>Whether only tokens that both models have trained well count as shared (Land and Bartolo 2024, "Fishing for Magikarp: Automatically Detecting Under-trained
    /// Tokens in Large Language Models"); those that neither has get zeros.</summary>
    public bool WellTrainedOnly { get; init; }

    /// <summary>Decides random rows.</summary>
    public ulong Seed { get; init; }

    /// <summary>The most bytes for the inner products of the shared tokens' rows; more of them are made anew each time.</summary>
    public long ProductBytes { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4;
}
