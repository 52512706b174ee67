using System.Runtime.Intrinsics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// One vector width, so that a kernel is written once and compiled for each: <see cref="Lanes128"/>, <see cref="Lanes256"/>, <see
/// cref="Lanes512"/>.
/// Every member is inlined to one or a few instructions.
/// </summary>
/// <typeparam name="TVector">The vector of float32 lanes.</typeparam>
internal unsafe interface ILanes<TVector>
    where TVector : struct
{
    /// <summary>Lanes in a vector.</summary>
    static abstract int Count { get; }

    /// <summary>All lanes equal.</summary>
    static abstract TVector Create(float value);

    /// <summary>Unaligned load.</summary>
    static abstract TVector Load(float* source);

    /// <summary>Unaligned store.</summary>
    static abstract void Store(TVector value, float* destination);

    /// <summary>a + b.</summary>
    static abstract TVector Add(TVector a, TVector b);

    /// <summary>a - b.</summary>
    static abstract TVector Subtract(TVector a, TVector b);

    /// <summary>a * b.</summary>
    static abstract TVector Multiply(TVector a, TVector b);

    /// <summary>a / b.</summary>
    static abstract TVector Divide(TVector a, TVector b);

    /// <summary>a * b + c, fused where the processor can.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>The larger; if b is NaN, NaN; if only a is, unspecified.</summary>
    static abstract TVector Max(TVector a, TVector b);

    /// <summary>The smaller; if b is NaN, NaN; if only a is, unspecified.</summary>
    static abstract TVector Min(TVector a, TVector b);

    /// <summary>|a|.</summary>
    static abstract TVector Abs(TVector a);

    /// <summary>To the nearest integer, ties to even.</summary>
    static abstract TVector Round(TVector a);

    /// <summary>
    /// a * 2^n for integral n from -126 to 128 and a between 1/2 and 2; zero instead of a result below 2^-125 where there is no
    /// instruction for it.
    /// </summary>
    static abstract TVector Scale(TVector a, TVector n);

    /// <summary>Lane by lane <c>a &lt; b ? yes : no</c>.</summary>
    static abstract TVector SelectLess(TVector a, TVector b, TVector yes, TVector no);

    /// <summary>Sum of the lanes, in a fixed order.</summary>
    static abstract float Sum(TVector a);

    /// <summary>Sums of the lanes of each of four, in a fixed order, the same for each.</summary>
    static abstract Vector128<float> SumFour(TVector a, TVector b, TVector c, TVector d);

    /// <summary>Largest lane; unspecified if any is NaN.</summary>
    static abstract float MaxLane(TVector a);

    /// <summary>The elements of even index of a followed by b.</summary>
    static abstract TVector Evens(TVector a, TVector b);

    /// <summary>The elements of odd index of a followed by b.</summary>
    static abstract TVector Odds(TVector a, TVector b);

    /// <summary>Widens <c>2 Count</c> bfloat16: those of even and those of odd index.</summary>
    static abstract void LoadBFloat16Pair(byte* source, out TVector evens, out TVector odds);

    /// <summary>Widens bfloat16.</summary>
    static abstract TVector LoadBFloat16(byte* source);

    /// <summary>Widens IEEE binary16, subnormals, infinities and NaN included.</summary>
    static abstract TVector LoadHalf(byte* source);

    /// <summary>Widens OCP FP8 E4M3 (no infinities, 0x7F and 0xFF are NaN).</summary>
    static abstract TVector LoadE4M3(byte* source);

    /// <summary>Widens OCP FP8 E5M2: the upper byte of a binary16.</summary>
    static abstract TVector LoadE5M2(byte* source);

    /// <summary>Narrows binary64, rounding to nearest even.</summary>
    static abstract TVector LoadDouble(byte* source);
}
