using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Sixteen lanes of AVX-512.</summary>
internal readonly unsafe struct Lanes512 : ILanes<Vector512<float>>
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <inheritdoc/>
    public static int Count => Vector512<float>.Count;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Create(float value) => Vector512.Create(value);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Divide(Vector512<float> a, Vector512<float> b) => a / b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> MultiplyAdd(
        Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAdd(a, b, c);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.MaxNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.MinNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Abs(Vector512<float> a) => Vector512.Abs(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Round(Vector512<float> a) => Vector512.Round(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Scale(Vector512<float> a, Vector512<float> n) => Avx512F.Scale(a, n);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> SelectLess(Vector512<float> a, Vector512<float> b, Vector512<float> yes, Vector512<float> no) =>
        Vector512.ConditionalSelect(Vector512.LessThan(a, b), yes, no);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float Sum(Vector512<float> a) => Lanes256.Sum(a.GetLower() + a.GetUpper());

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> SumFour(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d) =>
        Lanes256.SumFour(a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper());

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float MaxLane(Vector512<float> a) => Lanes256.MaxLane(Vector256.MaxNative(a.GetLower(), a.GetUpper()));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Evens(Vector512<float> a, Vector512<float> b) => Avx512F.PermuteVar16x32x2(a, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> Odds(Vector512<float> a, Vector512<float> b) => Avx512F.PermuteVar16x32x2(a, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void LoadBFloat16Pair(byte* source, out Vector512<float> evens, out Vector512<float> odds)
    {
        var bits = Vector512.Load((uint*)source);
        (evens, odds) = ((bits << 16).AsSingle(), (bits & Vector512.Create(0xFFFF0000u)).AsSingle());
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> LoadBFloat16(byte* source) => (Widen16(source) << 16).AsSingle();

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> LoadHalf(byte* source) => HalfBits(Widen16(source));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> LoadE5M2(byte* source) => HalfBits(Widen8(source) << 8);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> LoadE4M3(byte* source)
    {
        var bits = Widen8(source);
        var magnitude = bits & Vector512.Create(0x7Fu);
        var value = (magnitude << 20).AsSingle() * Vector512.Create(1.329227995784916e36f);
        var special = Vector512.Equals(magnitude, Vector512.Create(0x7Fu)) & Vector512.Create(0x7FC00000u);
        return (value.AsUInt32() | special | ((bits & Vector512.Create(0x80u)) << 24)).AsSingle();
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector512<float> LoadDouble(byte* source) =>
        Vector512.Narrow(Vector512.Load((double*)source), Vector512.Load((double*)source + Vector512<double>.Count));

    /// <summary>
    /// The exponent is rebased by a multiplication, which also normalises subnormals; an all-ones exponent is set again afterwards.
    /// </summary>
    [MethodImpl(Inline)]
    private static Vector512<float> HalfBits(Vector512<uint> bits)
    {
        var magnitude = bits & Vector512.Create(0x7FFFu);
        var value = (magnitude << 13).AsSingle() * Vector512.Create(5.192296858534828e33f);
        var special = Vector512.GreaterThan(magnitude.AsInt32(), Vector512.Create(0x7BFF)).AsUInt32() & Vector512.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((bits & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }

    [MethodImpl(Inline)]
    private static Vector512<uint> Widen16(byte* source) => Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source));

    [MethodImpl(Inline)]
    private static Vector512<uint> Widen8(byte* source) => Avx512F.ConvertToVector512UInt32(Vector128.Load(source));
}
