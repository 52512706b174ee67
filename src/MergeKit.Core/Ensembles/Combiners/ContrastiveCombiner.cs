using System.Buffers;
using System.Numerics;
using System.Numerics.Tensors;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>The two forms of contrastive decoding.</summary>
public enum ContrastiveVariant
{
    /// <summary>l_E - l_A (Li et al. 2022).</summary>
    Difference,

    /// <summary>(1 + beta) z_E - beta z_A (O'Brien and Lewis 2023).</summary>
    Weighted,
}

/// <summary>How contrastive decoding is done.</summary>
public sealed record ContrastiveOptions
{
    /// <summary>Which form.</summary>
    public ContrastiveVariant Variant { get; init; }

    /// <summary>A token is plausible while p_E is at least this share of the largest, 0 to 1.</summary>
    public double Alpha { get; init; } = 0.1;

    /// <summary>How strongly the amateur counts in the weighted form.</summary>
    public double Beta { get; init; } = 0.5;

    /// <summary>The amateur's logits are divided by this in the form of a difference.</summary>
    public double AmateurTemperature { get; init; } = 1;

    /// <summary>The least log-probability of the amateur in the form of a difference; null: only minus infinity is raised, to ln 1e-10.</summary>
    public double? NegativeFloor { get; init; }
}

/// <summary>Contrastive decoding, members in the order expert, amateur: what the expert finds plausible, by how much more it does than the amateur.</summary>
public sealed class ContrastiveCombiner : IJoinableCombiner
{
    private readonly ContrastiveOptions _options;

    /// <summary>Contrastive decoding.</summary>
    /// <exception cref="EnsembleException">An option is outside its range.</exception>
    public ContrastiveCombiner(ContrastiveOptions options)
    {
        _options = options;
        Require(options.Alpha is >= 0 and <= 1, $"alpha is {options.Alpha}: 0 to 1 is wanted");
        Require(double.IsFinite(options.Beta), $"beta is {options.Beta}: a finite number is wanted");
        Require(options.AmateurTemperature > 0 && double.IsFinite(options.AmateurTemperature), $"amateur_temperature is {options.AmateurTemperature}: a number above 0 is wanted");
        Require(options.NegativeFloor is null or < 0, $"negative_floor is {options.NegativeFloor}: a number below 0 is wanted");
    }

    /// <inheritdoc/>
    public int Members => 2;

    /// <inheritdoc/>
    public LawForm? Form => IsDifference && _options.NegativeFloor is not null && _options.AmateurTemperature != 1 ? null : SignedSum.Form with
    {
        Plausible = Math.Log(_options.Alpha),
        NegativeFloor = IsDifference && _options.NegativeFloor is { } floor ? floor : double.NegativeInfinity,
    };

    private bool IsDifference => _options.Variant == ContrastiveVariant.Difference;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) =>
        (coefficients[0], coefficients[1]) = IsDifference ? (1, -1 / _options.AmateurTemperature) : (1 + _options.Beta, -_options.Beta);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Scores(members, logProbs);
        RowMath.Normalize(logProbs);
    }

    /// <summary>The scores before they are normalised; minus infinity for what is not plausible.</summary>
    public void Scores<T>(ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> scores)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, scores.Length);
        var expert = members[0].Span;
        if (IsDifference)
            Differences(members, scores);
        else
            SignedSum.Combine(members, [1 + _options.Beta, -_options.Beta], SignedSum.DefaultFloor, everyBelow: false, scores);
        var least = T.CreateChecked(RowMath.Maximum(expert) + Math.Log(_options.Alpha));
        RowMath.Restrict(expert, T.IsNegativeInfinity(least) ? T.BitIncrement(least) : least, scores);
    }

    private void Differences<T>(ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> scores)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var rented = ArrayPool<T>.Shared.Rent(scores.Length);
        var amateur = rented.AsMemory(0, scores.Length);
        TensorPrimitives.Divide(members[1].Span, T.CreateChecked(_options.AmateurTemperature), amateur.Span);
        RowMath.Normalize(amateur.Span);
        SignedSum.Combine([members[0], amateur], [1, -1], _options.NegativeFloor ?? SignedSum.DefaultFloor, _options.NegativeFloor is not null, scores);
        TensorPrimitives.Subtract(scores, T.CreateChecked(RowMath.LogSumExp(members[0].Span)), scores);
        ArrayPool<T>.Shared.Return(rented);
    }

    private static void Require(bool holds, string message)
    {
        if (!holds)
            throw new EnsembleException(EnsembleError.InvalidParameter, message);
    }
}
