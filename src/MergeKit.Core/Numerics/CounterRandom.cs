using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace MergeKit.Core.Numerics;

/// <summary>Uniform 32-bit words that are a pure function of (seed, tensor, model, element): no stream, so chunk size, order and
/// thread count cannot matter. Generator: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").</summary>
/// <remarks>Element e of a tensor takes word (e mod 32) / 8 of the block with counter 8 (e / 32) + e mod 8, so that eight counters fill
/// 32 neighbouring elements without a shuffle.</remarks>
public readonly struct CounterRandom
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    private const int Group = 32, Counters = 8, Rounds = 10;
    private readonly ulong _key;

    /// <summary>The generator of one tensor of one model.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="tensor">Name of the output tensor.</param>
    /// <param name="model">Position of the model among the tensor's sources.</param>
    public CounterRandom(ulong seed, string tensor, int model)
    {
        var bytes = new byte[12 + Encoding.UTF8.GetByteCount(tensor)];
        BitConverter.TryWriteBytes(bytes, seed);
        BitConverter.TryWriteBytes(bytes.AsSpan(8), model);
        Encoding.UTF8.GetBytes(tensor, bytes.AsSpan(12));
        _key = XxHash3.HashToUInt64(bytes);
    }

    /// <summary>The words of elements <paramref name="start"/> onwards.</summary>
    public void Fill(long start, Span<uint> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        Span<uint> group = stackalloc uint[Group];
        for (var done = 0; done < destination.Length;)
        {
            var (block, skip) = ((start + done) / Group, (int)((start + done) % Group));
            if (skip == 0 && destination.Length - done >= Group)
            {
                var groups = (destination.Length - done) / Group;
                FillGroups(block, destination.Slice(done, groups * Group));
                done += groups * Group;
                continue;
            }

            var take = Math.Min(Group - skip, destination.Length - done);
            FillGroups(block, group);
            group.Slice(skip, take).CopyTo(destination[done..]);
            done += take;
        }
    }

    private void FillGroups(long block, Span<uint> destination)
    {
        if (Avx512F.IsSupported)
            FillGroups512(block, destination);
        else
            FillGroupsScalar(block, destination);
    }

    /// <summary>The plain form of the generator; also the reference for the vectorised one.</summary>
    internal void FillGroupsScalar(long block, Span<uint> destination)
    {
        for (var at = 0; at < destination.Length; at += Group, block++)
        {
            for (var lane = 0; lane < Counters; lane++)
            {
                var counter = (ulong)block * Counters + (ulong)lane;
                var (c0, c1, c2, c3) = ((uint)counter, (uint)(counter >> 32), 0u, 0u);
                var (k0, k1) = ((uint)_key, (uint)(_key >> 32));
                for (var round = 0; round < Rounds; round++)
                {
                    var (p0, p1) = ((ulong)Multiplier0 * c0, (ulong)Multiplier1 * c2);
                    (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
                    (k0, k1) = (k0 + Weyl0, k1 + Weyl1);
                }

                (destination[at + lane], destination[at + 8 + lane]) = (c0, c1);
                (destination[at + 16 + lane], destination[at + 24 + lane]) = (c2, c3);
            }
        }
    }

    /// <summary>Eight counters at a time, one per 64-bit lane; upper halves of lanes hold rubbish that no step reads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillGroups512(long block, Span<uint> destination)
    {
        ref var to = ref MemoryMarshal.GetReference(destination);
        var lanes = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7);
        var (m0, m1) = (Vector512.Create((ulong)Multiplier0).AsUInt32(), Vector512.Create((ulong)Multiplier1).AsUInt32());
        for (var at = 0; at < destination.Length; at += Group, block++)
        {
            var c0 = Vector512.Create((ulong)block * Counters) + lanes;
            var (c1, c2, c3) = (c0 >> 32, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
            var (k0, k1) = ((uint)_key, (uint)(_key >> 32));
            for (var round = 0; round < Rounds; round++)
            {
                var p0 = Avx512F.Multiply(c0.AsUInt32(), m0);
                var p1 = Avx512F.Multiply(c2.AsUInt32(), m1);
                c0 = (p1 >> 32) ^ c1 ^ Vector512.Create((ulong)k0);
                c2 = (p0 >> 32) ^ c3 ^ Vector512.Create((ulong)k1);
                (c1, c3) = (p1, p0);
                (k0, k1) = (k0 + Weyl0, k1 + Weyl1);
            }

            Avx512F.ConvertToVector256UInt32(c0).StoreUnsafe(ref to, (nuint)at);
            Avx512F.ConvertToVector256UInt32(c1).StoreUnsafe(ref to, (nuint)(at + 8));
            Avx512F.ConvertToVector256UInt32(c2).StoreUnsafe(ref to, (nuint)(at + 16));
            Avx512F.ConvertToVector256UInt32(c3).StoreUnsafe(ref to, (nuint)(at + 24));
        }
    }
}
