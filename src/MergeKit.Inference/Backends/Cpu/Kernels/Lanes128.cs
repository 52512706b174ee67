using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Four lanes of whatever the processor has: Arm64 AdvSimd, SSE, or software.</summary>
internal readonly unsafe struct Lanes128 : ILanes<Vector128<float>>
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <inheritdoc/>
    public static int Count => Vector128<float>.Count;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Create(float value) => Vector128.Create(value);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void Store(Vector128<float> value, float* destination) => value.Store(destination);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Divide(Vector128<float> a, Vector128<float> b) => a / b;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> MultiplyAdd(
        Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.MultiplyAddEstimate(a, b, c);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Max(Vector128<float> a, Vector128<float> b) => Vector128.MaxNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Min(Vector128<float> a, Vector128<float> b) => Vector128.MinNative(a, b);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Abs(Vector128<float> a) => Vector128.Abs(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Round(Vector128<float> a) => Vector128.Round(a);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Scale(Vector128<float> a, Vector128<float> n)
    {
        var half = ((Vector128.ConvertToInt32Native(n) + Vector128.Create(126)) << 23).AsSingle();
        return a * half * Vector128.Create(2f);
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> SelectLess(Vector128<float> a, Vector128<float> b, Vector128<float> yes, Vector128<float> no) =>
        Vector128.ConditionalSelect(Vector128.LessThan(a, b), yes, no);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float Sum(Vector128<float> a)
    {
        var pairs = a + Vector128.Shuffle(a, Vector128.Create(2, 3, 0, 1));
        return pairs[0] + pairs[1];
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> SumFour(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d) =>
        Sse3.IsSupported
            ? Sse3.HorizontalAdd(Sse3.HorizontalAdd(a, b), Sse3.HorizontalAdd(c, d))
            : Vector128.Create((a[0] + a[1]) + (a[2] + a[3]), (b[0] + b[1]) + (b[2] + b[3]), (c[0] + c[1]) + (c[2] + c[3]), (d[0] + d[1]) + (d[2] + d[3]));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static float MaxLane(Vector128<float> a)
    {
        var pairs = Vector128.MaxNative(a, Vector128.Shuffle(a, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(pairs[0], pairs[1]);
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Evens(Vector128<float> a, Vector128<float> b) => Vector128.Create(a[0], a[2], b[0], b[2]);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> Odds(Vector128<float> a, Vector128<float> b) => Vector128.Create(a[1], a[3], b[1], b[3]);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static void LoadBFloat16Pair(byte* source, out Vector128<float> evens, out Vector128<float> odds)
    {
        var bits = Vector128.Load((uint*)source);
        (evens, odds) = ((bits << 16).AsSingle(), (bits & Vector128.Create(0xFFFF0000u)).AsSingle());
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> LoadBFloat16(byte* source) => (Widen16(source) << 16).AsSingle();

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> LoadHalf(byte* source) => HalfBits(Widen16(source));

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> LoadE5M2(byte* source) => HalfBits(Widen8(source) << 8);

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> LoadE4M3(byte* source)
    {
        var bits = Widen8(source);
        var magnitude = bits & Vector128.Create(0x7Fu);
        var value = (magnitude << 20).AsSingle() * Vector128.Create(1.329227995784916e36f);
        var special = Vector128.Equals(magnitude, Vector128.Create(0x7Fu)) & Vector128.Create(0x7FC00000u);
        return (value.AsUInt32() | special | ((bits & Vector128.Create(0x80u)) << 24)).AsSingle();
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Vector128<float> LoadDouble(byte* source) =>
        Vector128.Narrow(Vector128.Load((double*)source), Vector128.Load((double*)source + Vector128<double>.Count));

    /// <summary>
    /// The exponent is rebased by a multiplication, which also normalises subnormals; an all-ones exponent is set again afterwards.
    /// </summary>
    [MethodImpl(Inline)]
    private static Vector128<float> HalfBits(Vector128<uint> bits)
    {
        var magnitude = bits & Vector128.Create(0x7FFFu);
        var value = (magnitude << 13).AsSingle() * Vector128.Create(5.192296858534828e33f);
        var special = Vector128.GreaterThan(magnitude.AsInt32(), Vector128.Create(0x7BFF)).AsUInt32() & Vector128.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((bits & Vector128.Create(0x8000u)) << 16)).AsSingle();
    }

    [MethodImpl(Inline)]
    private static Vector128<uint> Widen16(
        byte* source) => Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(source)).AsUInt16());

    [MethodImpl(Inline)]
    private static Vector128<uint> Widen8(byte* source) => Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<uint>(source)).AsByte()));
}
