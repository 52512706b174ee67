using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Reads weights of one element type as float32 vectors.</summary>
internal unsafe interface IWeightDecoder
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    /// <summary>The next <c>TLanes.Count</c> elements.</summary>
    static abstract TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct;

    /// <summary>Whether <see cref="LoadPair"/> gives the even and the odd elements rather than the first and the second half.</summary>
    static virtual bool InPairs => false;

    /// <summary>The next <c>2 TLanes.Count</c> elements, in whichever of the two orders takes fewer instructions (<see cref="InPairs"/>).</summary>
    static abstract void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct;

    /// <summary>One element.</summary>
    static abstract float LoadOne(byte* source);
}

/// <summary>Pairs of vectors in the order of memory.</summary>
internal static unsafe class Halves
{
    /// <summary>The first and the second half of the next <c>2 TLanes.Count</c> elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TDecoder, TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TDecoder : struct, IWeightDecoder
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
    {
        first = TDecoder.Load<TLanes, TVector>(source);
        second = TDecoder.Load<TLanes, TVector>(source + (TLanes.Count * TDecoder.Size));
    }
}

/// <summary>float32.</summary>
internal readonly unsafe struct SingleDecoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 4;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.Load((float*)source);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => Halves.Load<SingleDecoder, TLanes, TVector>(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source) => *(float*)source;
}

/// <summary>bfloat16.</summary>
internal readonly unsafe struct BFloat16Decoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadBFloat16(source);

    /// <inheritdoc/>
    public static bool InPairs => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadBFloat16Pair(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source) => BitConverter.UInt32BitsToSingle((uint)*(ushort*)source << 16);
}

/// <summary>binary16.</summary>
internal readonly unsafe struct HalfDecoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadHalf(source);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => Halves.Load<HalfDecoder, TLanes, TVector>(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source) => (float)*(Half*)source;
}

/// <summary>FP8 E4M3.</summary>
internal readonly unsafe struct E4M3Decoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadE4M3(source);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => Halves.Load<E4M3Decoder, TLanes, TVector>(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source)
    {
        var magnitude = *source & 0x7F;
        var value = magnitude == 0x7F ? float.NaN : BitConverter.Int32BitsToSingle(magnitude << 20) * 1.329227995784916e36f;
        return *source > 0x7F ? -value : value;
    }
}

/// <summary>FP8 E5M2.</summary>
internal readonly unsafe struct E5M2Decoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadE5M2(source);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => Halves.Load<E5M2Decoder, TLanes, TVector>(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source) => (float)BitConverter.UInt16BitsToHalf((ushort)(*source << 8));
}

/// <summary>binary64, rounded to float32.</summary>
internal readonly unsafe struct DoubleDecoder : IWeightDecoder
{
    /// <inheritdoc/>
    public static int Size => 8;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<TLanes, TVector>(byte* source)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => TLanes.LoadDouble(source);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<TLanes, TVector>(byte* source, out TVector first, out TVector second)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => Halves.Load<DoubleDecoder, TLanes, TVector>(source, out first, out second);

    /// <inheritdoc/>
    public static float LoadOne(byte* source) => (float)*(double*)source;
}
