using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Copies a block of rows into a panel: widened to float32 and transposed, so that a micro-kernel reads it front to back.</summary>
internal static unsafe class PanelPacking
{
    /// <summary>
    /// <c>panel[k * width + j] = source[j, k]</c> for k below <paramref name="depth"/> and j below <paramref name="rows"/>; zeros for j from there to
    /// <paramref name="width"/>, a multiple of 4.
    /// </summary>
    /// <param name="source">Element [0, 0].</param>
    /// <param name="strideBytes">From row to row.</param>
    /// <param name="rows">Rows to copy.</param>
    /// <param name="depth">Elements of each row.</param>
    /// <param name="panel">depth x width floats.</param>
    /// <param name="width">Floats per line of the panel.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack<TDecoder>(byte* source, long strideBytes, int rows, int depth, float* panel, int width)
        where TDecoder : struct, IWeightDecoder
    {
        for (var j = 0; j < width; j += 4)
        {
            var row = source + (j * strideBytes);
            if (j + 4 <= rows)
                PackFour<TDecoder>(row, strideBytes, depth, panel + j, width);
            else
                PackEdge<TDecoder>(row, strideBytes, Math.Max(0, rows - j), depth, panel + j, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackFour<TDecoder>(byte* r0, long strideBytes, int depth, float* panel, int width)
        where TDecoder : struct, IWeightDecoder
    {
        byte* r1 = r0 + strideBytes, r2 = r1 + strideBytes, r3 = r2 + strideBytes;
        var k = 0;
        for (; k + 4 <= depth; k += 4, panel += 4 * width)
        {
            long at = k * TDecoder.Size;
            var a = TDecoder.Load<Lanes128, Vector128<float>>(r0 + at);
            var b = TDecoder.Load<Lanes128, Vector128<float>>(r1 + at);
            var c = TDecoder.Load<Lanes128, Vector128<float>>(r2 + at);
            var d = TDecoder.Load<Lanes128, Vector128<float>>(r3 + at);
            Transpose(ref a, ref b, ref c, ref d);
            a.Store(panel);
            b.Store(panel + width);
            c.Store(panel + (2 * width));
            d.Store(panel + (3 * width));
        }

        for (; k < depth; k++, panel += width)
        {
            long at = k * TDecoder.Size;
            panel[0] = TDecoder.LoadOne(r0 + at);
            panel[1] = TDecoder.LoadOne(r1 + at);
            panel[2] = TDecoder.LoadOne(r2 + at);
            panel[3] = TDecoder.LoadOne(r3 + at);
        }
    }

    private static void PackEdge<TDecoder>(byte* source, long strideBytes, int rows, int depth, float* panel, int width)
        where TDecoder : struct, IWeightDecoder
    {
        for (var k = 0; k < depth; k++)
        {
            for (var j = 0; j < 4; j++)
                panel[((long)k * width) + j] = j < rows ? TDecoder.LoadOne(source + (j * strideBytes) + ((long)k * TDecoder.Size)) : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(ref Vector128<float> a, ref Vector128<float> b, ref Vector128<float> c, ref Vector128<float> d)
    {
        var (acLow, acHigh) = Zip(a, c);
        var (bdLow, bdHigh) = Zip(b, d);
        (a, b) = Zip(acLow, bdLow);
        (c, d) = Zip(acHigh, bdHigh);
    }

    /// <summary>(x0, y0, x1, y1) and (x2, y2, x3, y3).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> Low, Vector128<float> High) Zip(Vector128<float> x, Vector128<float> y)
    {
        if (Sse.IsSupported)
            return (Sse.UnpackLow(x, y), Sse.UnpackHigh(x, y));
        if (AdvSimd.Arm64.IsSupported)
            return (AdvSimd.Arm64.ZipLow(x, y), AdvSimd.Arm64.ZipHigh(x, y));
        return (Vector128.Create(x[0], y[0], x[1], y[1]), Vector128.Create(x[2], y[2], x[3], y[3]));
    }
}
