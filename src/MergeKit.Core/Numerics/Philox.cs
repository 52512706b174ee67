using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Core.Numerics;

/// <summary>Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") over runs of counters. A group is the
/// output of eight neighbouring counters, 32 words: first the eight first words, then the eight second words, and so on.</summary>
public static class Philox
{
    /// <summary>Words of one group.</summary>
    internal const int GroupWords = 32;

    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    private const int Counters = 8, Rounds = 10;

    /// <summary>Whole groups from group number <paramref name="group"/> onwards, by the fastest way the processor has.</summary>
    internal static void Fill(ulong key, long group, Span<uint> destination)
    {
        if (Avx512F.IsSupported)
            Fill512(key, group, destination);
        else if (Avx2.IsSupported)
            Fill256(key, group, destination);
        else
            FillScalar(key, group, destination);
    }

    /// <summary>The four words of one counter (128 bits, low words first) under a 64-bit key: the definition.</summary>
    public static (uint, uint, uint, uint) Block(ulong key, ulong counterLow, ulong counterHigh)
    {
        var (c0, c1, c2, c3) = ((uint)counterLow, (uint)(counterLow >> 32), (uint)counterHigh, (uint)(counterHigh >> 32));
        var (k0, k1) = ((uint)key, (uint)(key >> 32));
        for (var round = 0; round < Rounds; round++)
        {
            var (p0, p1) = ((ulong)Multiplier0 * c0, (ulong)Multiplier1 * c2);
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            (k0, k1) = (k0 + Weyl0, k1 + Weyl1);
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>The plain form, for any processor; also the reference for the vectorised ones.</summary>
    internal static void FillScalar(ulong key, long group, Span<uint> destination)
    {
        for (var at = 0; at < destination.Length; at += GroupWords, group++)
        {
            for (var lane = 0; lane < Counters; lane++)
            {
                var counter = (ulong)group * Counters + (ulong)lane;
                (destination[at + lane], destination[at + 8 + lane], destination[at + 16 + lane], destination[at + 24 + lane]) =
                    Block(key, counter, 0);
            }
        }
    }

    /// <summary>Four counters at a time, one per 64-bit lane; upper halves of lanes hold rubbish that no step reads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Fill256(ulong key, long group, Span<uint> destination)
    {
        ref var to = ref MemoryMarshal.GetReference(destination);
        var low = Vector256.Create(0, 2, 4, 6, 0, 0, 0, 0);
        var (m0, m1) = (Vector256.Create((ulong)Multiplier0).AsUInt32(), Vector256.Create((ulong)Multiplier1).AsUInt32());
        for (var at = 0; at < destination.Length; at += GroupWords, group++)
        {
            for (var half = 0; half < Counters; half += 4)
            {
                var c0 = Vector256.Create((ulong)group * Counters + (ulong)half) + Vector256.Create(0ul, 1, 2, 3);
                var (c1, c2, c3) = (c0 >> 32, Vector256<ulong>.Zero, Vector256<ulong>.Zero);
                var (k0, k1) = ((uint)key, (uint)(key >> 32));
                for (var round = 0; round < Rounds; round++)
                {
                    var p0 = Avx2.Multiply(c0.AsUInt32(), m0);
                    var p1 = Avx2.Multiply(c2.AsUInt32(), m1);
                    c0 = (p1 >> 32) ^ c1 ^ Vector256.Create((ulong)k0);
                    c2 = (p0 >> 32) ^ c3 ^ Vector256.Create((ulong)k1);
                    (c1, c3) = (p1, p0);
                    (k0, k1) = (k0 + Weyl0, k1 + Weyl1);
                }

                Avx2.PermuteVar8x32(c0.AsInt32(), low).GetLower().AsUInt32().StoreUnsafe(ref to, (nuint)(at + half));
                Avx2.PermuteVar8x32(c1.AsInt32(), low).GetLower().AsUInt32().StoreUnsafe(ref to, (nuint)(at + 8 + half));
                Avx2.PermuteVar8x32(c2.AsInt32(), low).GetLower().AsUInt32().StoreUnsafe(ref to, (nuint)(at + 16 + half));
                Avx2.PermuteVar8x32(c3.AsInt32(), low).GetLower().AsUInt32().StoreUnsafe(ref to, (nuint)(at + 24 + half));
            }
        }
    }

    /// <summary>Two groups of eight counters at a time, one counter per 64-bit lane, which hides the multiplications' latency.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Fill512(ulong key, long group, Span<uint> destination)
    {
        ref var to = ref MemoryMarshal.GetReference(destination);
        var lanes = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7);
        var (m0, m1) = (Vector512.Create((ulong)Multiplier0).AsUInt32(), Vector512.Create((ulong)Multiplier1).AsUInt32());
        var (w0, w1) = (Vector512.Create((ulong)Weyl0).AsUInt32(), Vector512.Create((ulong)Weyl1).AsUInt32());
        for (var at = 0; at < destination.Length; at += 2 * GroupWords, group += 2)
        {
            var (a0, b0) = (Vector512.Create((ulong)group * Counters) + lanes, Vector512.Create((ulong)(group + 1) * Counters) + lanes);
            var (a1, b1) = (a0 >> 32, b0 >> 32);
            var (a2, a3, b2, b3) = (Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
            var (k0, k1) = (Vector512.Create((ulong)(uint)key).AsUInt32(), Vector512.Create(key >> 32).AsUInt32());
            for (var round = 0; round < Rounds; round++)
            {
                var (p0, p1) = (Avx512F.Multiply(a0.AsUInt32(), m0), Avx512F.Multiply(a2.AsUInt32(), m1));
                var (q0, q1) = (Avx512F.Multiply(b0.AsUInt32(), m0), Avx512F.Multiply(b2.AsUInt32(), m1));
                a0 = (p1 >> 32) ^ a1 ^ k0.AsUInt64();
                b0 = (q1 >> 32) ^ b1 ^ k0.AsUInt64();
                a2 = (p0 >> 32) ^ a3 ^ k1.AsUInt64();
                b2 = (q0 >> 32) ^ b3 ^ k1.AsUInt64();
                (a1, a3, b1, b3) = (p1, p0, q1, q0);
                (k0, k1) = (k0 + w0, k1 + w1);
            }

            Store(a0, a1, a2, a3, ref to, at);
            if (at + GroupWords < destination.Length)
                Store(b0, b1, b2, b3, ref to, at + GroupWords);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<ulong> c0, Vector512<ulong> c1, Vector512<ulong> c2, Vector512<ulong> c3, ref uint to, int at)
    {
        Avx512F.ConvertToVector256UInt32(c0).StoreUnsafe(ref to, (nuint)at);
        Avx512F.ConvertToVector256UInt32(c1).StoreUnsafe(ref to, (nuint)(at + 8));
        Avx512F.ConvertToVector256UInt32(c2).StoreUnsafe(ref to, (nuint)(at + 16));
        Avx512F.ConvertToVector256UInt32(c3).StoreUnsafe(ref to, (nuint)(at + 24));
    }
}
