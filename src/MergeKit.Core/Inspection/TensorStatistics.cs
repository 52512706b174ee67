namespace MergeKit.Core.Inspection;

/// <summary>What the elements of a tensor amount to. Sums, extremes and the norm are over the finite elements, in double precision;
/// elements of F64 and 64-bit integers are first rounded to float32.</summary>
/// <param name="Count">Elements.</param>
/// <param name="NaNs">Elements that are not a number.</param>
/// <param name="Infinities">Elements that are infinite, of either sign.</param>
/// <param name="Zeros">Elements that are zero, of either sign.</param>
/// <param name="Sum">Sum of the finite elements.</param>
/// <param name="Squares">Sum of their squares.</param>
/// <param name="Min">Smallest finite element; +infinity where there is none.</param>
/// <param name="Max">Largest finite element; -infinity where there is none.</param>
public readonly record struct TensorStatistics(
    long Count, long NaNs, long Infinities, long Zeros, double Sum, double Squares, double Min, double Max)
{
    /// <summary>The statistics of no element.</summary>
    public static TensorStatistics Empty { get; } = new(0, 0, 0, 0, 0, 0, double.PositiveInfinity, double.NegativeInfinity);

    /// <summary>NaNs and infinities.</summary>
    public long NotFinite => NaNs + Infinities;

    /// <summary>L2 norm: the root of the sum of squares.</summary>
    public double Norm => Math.Sqrt(Squares);

    /// <summary>Mean of the finite elements; NaN where there is none.</summary>
    public double Mean => Sum / (Count - NotFinite);

    /// <summary>Share of elements that are zero; NaN where there is no element.</summary>
    public double ZeroShare => (double)Zeros / Count;

    /// <summary>The statistics of both ranges together.</summary>
    public static TensorStatistics operator +(TensorStatistics a, TensorStatistics b) => new(
        a.Count + b.Count, a.NaNs + b.NaNs, a.Infinities + b.Infinities, a.Zeros + b.Zeros,
        a.Sum + b.Sum, a.Squares + b.Squares, Math.Min(a.Min, b.Min), Math.Max(a.Max, b.Max));
}

/// <summary>How a tensor A differs from a tensor B of the same shape. Elements that are not finite in one of them take no part.</summary>
/// <param name="Compared">Elements that are finite in both.</param>
/// <param name="DeltaSquares">Sum of (A - B)^2.</param>
/// <param name="Dot">Sum of A B.</param>
/// <param name="SquaresA">Sum of A^2.</param>
/// <param name="SquaresB">Sum of B^2.</param>
/// <param name="SignsAgree">Elements that are both positive, both negative or both zero.</param>
/// <param name="Equal">Elements of equal value.</param>
public readonly record struct TensorDifference(
    long Compared, double DeltaSquares, double Dot, double SquaresA, double SquaresB, long SignsAgree, long Equal)
{
    /// <summary>|A - B| / |B|: 0 where both are equal, infinite where only B is zero.</summary>
    public double RelativeDelta => DeltaSquares == 0 ? 0 : Math.Sqrt(DeltaSquares) / Math.Sqrt(SquaresB);

    /// <summary>Cosine of the angle between A and B; NaN where one of them is zero.</summary>
    public double Cosine => Math.Clamp(Dot / (Math.Sqrt(SquaresA) * Math.Sqrt(SquaresB)), -1, 1);

    /// <summary>Share of the compared elements whose signs agree.</summary>
    public double SignAgreement => (double)SignsAgree / Compared;

    /// <summary>Share of the compared elements that are equal.</summary>
    public double EqualShare => (double)Equal / Compared;

    /// <summary>The difference of both ranges together.</summary>
    public static TensorDifference operator +(TensorDifference a, TensorDifference b) => new(
        a.Compared + b.Compared, a.DeltaSquares + b.DeltaSquares, a.Dot + b.Dot, a.SquaresA + b.SquaresA, a.SquaresB + b.SquaresB,
        a.SignsAgree + b.SignsAgree, a.Equal + b.Equal);
}
