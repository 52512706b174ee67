using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Eight lanes of AVX2 with FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Vector256<float>>
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <inheritdoc/>
    public static int Count => Vector256<float>.Count;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Create(float value) => Vector256.Create(value);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void Store(Vector256<float> value, float* destination) => value.Store(destination);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.MaxNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.MinNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Abs(Vector256<float> a) => Vector256.Abs(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Round(Vector256<float> a) => Vector256.Round(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Scale(Vector256<float> a, Vector256<float> n)
    {
        var half = ((Vector256.ConvertToInt32Native(n) + Vector256.Create(126)) << 23).AsSingle();
        return a * half * Vector256.Create(2f);
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> SelectLess(Vector256<float> a, Vector256<float> b, Vector256<float> yes, Vector256<float> no) =>
        Vector256.ConditionalSelect(Vector256.LessThan(a, b), yes, no);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float Sum(Vector256<float> a) => Lanes128.Sum(a.GetLower() + a.GetUpper());

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> SumFour(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d) =>
        Lanes128.SumFour(a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper(), c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper());

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float MaxLane(Vector256<float> a) => Lanes128.MaxLane(Vector128.MaxNative(a.GetLower(), a.GetUpper()));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Evens(Vector256<float> a, Vector256<float> b) => Avx2.Permute4x64(Avx.Shuffle(a, b, 0b10_00_10_00).AsDouble(), 0b11_01_10_00).AsSingle();

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> Odds(Vector256<float> a, Vector256<float> b) => Avx2.Permute4x64(Avx.Shuffle(a, b, 0b11_01_11_01).AsDouble(), 0b11_01_10_00).AsSingle();

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void LoadBFloat16Pair(byte* source, out Vector256<float> evens, out Vector256<float> odds)
    {
        var bits = Vector256.Load((uint*)source);
        (evens, odds) = ((bits << 16).AsSingle(), (bits & Vector256.Create(0xFFFF0000u)).AsSingle());
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> LoadBFloat16(byte* source) => (Widen16(source) << 16).AsSingle();

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> LoadHalf(byte* source) => HalfBits(Widen16(source));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> LoadE5M2(byte* source) => HalfBits(Widen8(source) << 8);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> LoadE4M3(byte* source)
    {
        var bits = Widen8(source);
        var magnitude = bits & Vector256.Create(0x7Fu);
        var value = (magnitude << 20).AsSingle() * Vector256.Create(1.329227995784916e36f);
        var special = Vector256.Equals(magnitude, Vector256.Create(0x7Fu)) & Vector256.Create(0x7FC00000u);
        return (value.AsUInt32() | special | ((bits & Vector256.Create(0x80u)) << 24)).AsSingle();
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector256<float> LoadDouble(byte* source) =>
        Vector256.Narrow(Vector256.Load((double*)source), Vector256.Load((double*)source + Vector256<double>.Count));

    /// <summary>
    /// The exponent is rebased by a multiplication, which also normalises subnormals; an all-ones exponent is set again afterwards.
    /// </summary>
    [MethodImpl(Inline)]
    private static Vector256<float> HalfBits(Vector256<uint> bits)
    {
        var magnitude = bits & Vector256.Create(0x7FFFu);
        var value = (magnitude << 13).AsSingle() * Vector256.Create(5.192296858534828e33f);
        var special = Vector256.GreaterThan(magnitude.AsInt32(), Vector256.Create(0x7BFF)).AsUInt32() & Vector256.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((bits & Vector256.Create(0x8000u)) << 16)).AsSingle();
    }

    [MethodImpl(Inline)]
    private static Vector256<uint> Widen16(byte* source) => Avx2.ConvertToVector256Int32((ushort*)source).AsUInt32();

    [MethodImpl(Inline)]
    private static Vector256<uint> Widen8(byte* source) => Avx2.ConvertToVector256Int32(source).AsUInt32();
}
