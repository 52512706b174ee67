using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>The packing of sixteen rows with AVX-512: sixteen by sixteen transpositions in registers, 64 shuffles each.</summary>
internal static unsafe class WidePanelPacking
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>
    /// <c>panel[k * width + j] = source[j, k]</c> for sixteen rows j and k below <paramref name="depth"/> rounded down to a multiple of
    /// 16, which is returned.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Pack<TDecoder>(byte* source, long strideBytes, int depth, float* panel, int width)
        where TDecoder : struct, IWeightDecoder
    {
        var k = 0;
        for (; k + 16 <= depth; k += 16, panel += 16 * width)
        {
            var at = source + ((long)k * TDecoder.Size);
            Four<TDecoder>(at, strideBytes, out var a0, out var a1, out var a2, out var a3);
            Four<TDecoder>(at + (4 * strideBytes), strideBytes, out var b0, out var b1, out var b2, out var b3);
            Four<TDecoder>(at + (8 * strideBytes), strideBytes, out var c0, out var c1, out var c2, out var c3);
            Four<TDecoder>(at + (12 * strideBytes), strideBytes, out var d0, out var d1, out var d2, out var d3);
            Store(a0, b0, c0, d0, panel, width);
            Store(a1, b1, c1, d1, panel + width, width);
            Store(a2, b2, c2, d2, panel + (2 * width), width);
            Store(a3, b3, c3, d3, panel + (3 * width), width);
        }

        return k;
    }

    /// <summary>Four rows, transposed within each 128-bit lane: lane l of u_c holds the four rows' elements 4 l + c.</summary>
    [MethodImpl(Inline)]
    private static void Four<TDecoder>(
        byte* source, long strideBytes, out Vector512<float> u0, out Vector512<float> u1, out Vector512<float> u2, out Vector512<float> u3)
        where TDecoder : struct, IWeightDecoder
    {
        var r0 = TDecoder.Load<Lanes512, Vector512<float>>(source);
        var r1 = TDecoder.Load<Lanes512, Vector512<float>>(source + strideBytes);
        var r2 = TDecoder.Load<Lanes512, Vector512<float>>(source + (2 * strideBytes));
        var r3 = TDecoder.Load<Lanes512, Vector512<float>>(source + (3 * strideBytes));
        var low01 = Avx512F.UnpackLow(r0, r1).AsDouble();
        var high01 = Avx512F.UnpackHigh(r0, r1).AsDouble();
        var low23 = Avx512F.UnpackLow(r2, r3).AsDouble();
        var high23 = Avx512F.UnpackHigh(r2, r3).AsDouble();
        u0 = Avx512F.UnpackLow(low01, low23).AsSingle();
        u1 = Avx512F.UnpackHigh(low01, low23).AsSingle();
        u2 = Avx512F.UnpackLow(high01, high23).AsSingle();
        u3 = Avx512F.UnpackHigh(high01, high23).AsSingle();
    }

    /// <summary>Transposes four by four 128-bit lanes and stores them four lines of the panel apart.</summary>
    [MethodImpl(Inline)]
    private static void Store(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, float* panel, int width)
    {
        const byte lowPairs = 0x44, highPairs = 0xEE, even = 0x88, odd = 0xDD;
        var abLow = Avx512F.Shuffle4x128(a, b, lowPairs);
        var abHigh = Avx512F.Shuffle4x128(a, b, highPairs);
        var cdLow = Avx512F.Shuffle4x128(c, d, lowPairs);
        var cdHigh = Avx512F.Shuffle4x128(c, d, highPairs);
        Avx512F.Shuffle4x128(abLow, cdLow, even).Store(panel);
        Avx512F.Shuffle4x128(abLow, cdLow, odd).Store(panel + (4 * width));
        Avx512F.Shuffle4x128(abHigh, cdHigh, even).Store(panel + (8 * width));
        Avx512F.Shuffle4x128(abHigh, cdHigh, odd).Store(panel + (12 * width));
    }
}
