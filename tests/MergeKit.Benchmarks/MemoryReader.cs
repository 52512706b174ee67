using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Benchmarks;

/// <summary>The yardstick of decoding: reading bytes and doing next to nothing with them.</summary>
internal static unsafe class MemoryReader
{
    /// <summary>Reads every byte (a multiple of 256 of them) and returns their exclusive or.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static byte Read(byte* source, long bytes)
    {
        Vector256<byte> a = default, b = default, c = default, d = default;
        for (var end = source + bytes; source < end; source += 128)
        {
            a ^= Vector256.Load(source);
            b ^= Vector256.Load(source + 32);
            c ^= Vector256.Load(source + 64);
            d ^= Vector256.Load(source + 96);
        }

        return (a ^ b ^ c ^ d)[0];
    }
}
