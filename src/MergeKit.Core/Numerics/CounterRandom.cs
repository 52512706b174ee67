using System.IO.Hashing;
using System.Text;

namespace MergeKit.Core.Numerics;

/// <summary>Uniform 32-bit words that are a pure function of (seed, tensor, model, element): no stream, so chunk size, order and
/// thread count cannot matter. Generator: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").</summary>
/// <remarks>Element e of a tensor takes word (e mod 32) / 8 of the block with counter 8 (e / 32) + e mod 8, so that eight counters fill
/// 32 neighbouring elements without a shuffle.</remarks>
public readonly struct CounterRandom
{
    private const int Group = PhiloxFill.GroupWords;
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

    /// <summary>Philox's key, a hash of seed, tensor and model.</summary>
    public ulong Key => _key;

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
                PhiloxFill.Fill(_key, block, destination.Slice(done, groups * Group));
                done += groups * Group;
                continue;
            }

            var take = Math.Min(Group - skip, destination.Length - done);
            PhiloxFill.Fill(_key, block, group);
            group.Slice(skip, take).CopyTo(destination[done..]);
            done += take;
        }
    }
}
