namespace MergeKit.Core.Architectures;

/// <summary>How a norm is computed.</summary>
public enum NormKind
{
    /// <summary>x / sqrt(mean(x^2) + eps), times the weight (arXiv 1910.07467).</summary>
    Rms,

    /// <summary>(x - mean) / sqrt(var + eps), times the weight, plus the bias (arXiv 1607.06450).</summary>
    Layer,
}

/// <summary>A norm over groups of a vector.</summary>
/// <param name="Name">Name of the weight tensor without <c>.weight</c>.</param>
/// <param name="Kind">How it is computed.</param>
/// <param name="Size">Number of weights; where a vector is longer, they repeat.</param>
/// <param name="Epsilon">Added to the variance.</param>
public sealed record NormSpec(string Name, NormKind Kind, int Size, double Epsilon)
{
    /// <summary>Elements normalised together; <see cref="Size"/> unless each head has weights of its own.</summary>
    public int GroupSize { get; init; } = Size;

    /// <summary>Added to the stored weight before it multiplies (Gemma: 1).</summary>
    public float WeightOffset { get; init; }

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias { get; init; }

    /// <summary>Whether old checkpoints say <c>gamma</c> and <c>beta</c>.</summary>
    public bool GammaBeta { get; init; }

    /// <summary>The shape of the stored weight; null for [Size].</summary>
    public IReadOnlyList<long>? StoredShape { get; init; }

    /// <summary>Names without <c>.weight</c> where the weight is stored in several tensors, in order.</summary>
    public IReadOnlyList<string>? Parts { get; init; }
}

/// <summary>y = x W^T + b.</summary>
/// <param name="Name">Name of the weight tensor without <c>.weight</c>.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Out">Rows of W.</param>
/// <param name="In">Columns of W.</param>
/// <param name="HasBias">Whether there is a bias, <c>Name.bias</c>.</param>
public sealed record LinearSpec(string Name, TensorRole Role, int Out, int In, bool HasBias = false)
{
    /// <summary>Whether the tensor is stored [in, out].</summary>
    public bool StoredTransposed { get; init; }

    /// <summary>Another name of the weight tensor without <c>.weight</c>.</summary>
    public string? Alias { get; init; }

    /// <summary>Name of the bias tensor.</summary>
    public string BiasName { get; init; } = Name + ".bias";

    /// <summary>The shape on disk.</summary>
    public IReadOnlyList<long> StoredShape => StoredTransposed ? [In, Out] : [Out, In];
}

/// <summary>A tensor used as it is.</summary>
/// <param name="Name">Its whole name.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Shape">Its shape.</param>
public sealed record TensorSpec(string Name, TensorRole Role, IReadOnlyList<long> Shape);

/// <summary>The pointwise functions.</summary>
public enum Activation
{
    /// <summary>x sigmoid(x).</summary>
    Silu,

    /// <summary>x Phi(x), with the error function.</summary>
    Gelu,

    /// <summary>0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).</summary>
    GeluTanh,

    /// <summary>x sigmoid(1.702 x).</summary>
    QuickGelu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>max(x, 0)^2.</summary>
    ReluSquared,

    /// <summary>tanh(x).</summary>
    Tanh,
}

/// <summary>A feed-forward block: act(x G^T) * (x U^T), or act(x U^T) where there is no gate, then the down projection.</summary>
public sealed record MlpSpec
{
    /// <summary>The pointwise function.</summary>
    public required Activation Activation { get; init; }

    /// <summary>Gate matrix of a gated block; null where <see cref="GateUp"/> holds it or there is none.</summary>
    public LinearSpec? Gate { get; init; }

    /// <summary>Up matrix; null where <see cref="GateUp"/> holds it.</summary>
    public LinearSpec? Up { get; init; }

    /// <summary>Gate rows followed by up rows in one matrix.</summary>
    public LinearSpec? GateUp { get; init; }

    /// <summary>Down matrix.</summary>
    public required LinearSpec Down { get; init; }

    /// <summary>Width between the matrices.</summary>
    public int Intermediate => Down.In;
}
