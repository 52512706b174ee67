using System.Buffers;
using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>DELLA's MagPrune: in each line along axis 1 the entries are ranked by magnitude, and the keep probability rises with the rank from
/// <c>density - epsilon</c> to <c>density + epsilon</c>. What stays is remembered in one bit per entry.</summary>
internal static class RankedTrim
{
    private const int MaskBits = 64;

    /// <summary>A model whose task vector is thinned.</summary>
    /// <param name="Source">Its index.</param>
    /// <param name="Density">Mean probability.</param>
    /// <param name="Epsilon">Half the range of probabilities.</param>
    public sealed record Wanted(int Source, double Density, double Epsilon);

    /// <summary>Shape seen as [outer, line, inner]: lines run along axis 1; a vector is one line.</summary>
    private static (long Outer, int Line, int Inner) Axes(IReadOnlyList<long> shape, long count)
    {
        if (shape.Count < 2)
            return (1, checked((int)count), 1);
        return (shape[0], checked((int)shape[1]), checked((int)shape.Skip(2).Aggregate(1L, (product, extent) => product * extent)));
    }

    /// <summary>Bytes held: the masks, and per worker the lines at hand.</summary>
    public static long WorkingBytes(TensorJob job, int models, int threads)
    {
        if (models == 0 || job.Count == 0)
            return 0;
        var (_, line, inner) = Axes(job.Shape, job.Count);
        return models * (job.Count / 8) + threads * ((long)line * inner * (models * sizeof(float) + sizeof(uint) + 1) + line * 2L * sizeof(ulong));
    }

    /// <summary>The trimmers of several task vectors, made in one pass.</summary>
    public static Trimmer[] Make(TensorInputs inputs, IReadOnlyList<Wanted> wanted)
    {
        var (outer, line, inner) = Axes(inputs.Job.Shape, inputs.Count);
        var slab = checked(line * inner);
        var masks = wanted.Select(_ => new ulong[checked((int)((inputs.Count + MaskBits - 1) / MaskBits))]).ToArray();
        var batch = Math.Max(1, inputs.ChunkElements / slab);
        inputs.ForEach(checked((int)((outer + batch - 1) / batch)), (index, local) =>
        {
            using var work = new LineWork(wanted.Count, slab, line);
            var end = Math.Min(((long)index + 1) * batch, outer);
            for (var row = (long)index * batch; row < end; row++)
            {
                Load(local, wanted, row * slab, work);
                for (var i = 0; i < wanted.Count; i++)
                    if (wanted[i].Density > 0)
                        Rank(inputs.RandomFor(wanted[i].Source), wanted[i], row * slab, inner, work.Delta(i), work, masks[i]);
            }
        });
        return [.. masks.Select(Masked)];
    }

    private static void Load(TensorInputs inputs, IReadOnlyList<Wanted> wanted, long start, LineWork work)
    {
        for (var at = 0; at < work.Words.Length; at += inputs.ChunkElements)
            inputs.Range(start + at, Math.Min(inputs.ChunkElements, work.Words.Length - at), chunk =>
            {
                for (var i = 0; i < wanted.Count; i++)
                    TensorPrimitives.Subtract(chunk.Source(wanted[i].Source), chunk.Source(inputs.Job.BaseIndex), work.Delta(i)[(int)(chunk.Start - start)..]);
            });
    }

    private static void Rank(CounterRandom random, Wanted wanted, long start, int inner, ReadOnlySpan<float> delta, LineWork work, ulong[] mask)
    {
        var words = work.Words;
        var kept = work.Kept;
        random.Fill(start, words);
        var length = delta.Length / inner;
        for (var column = 0; column < inner; column++)
        {
            var keys = work.Keys;
            for (var j = 0; j < length; j++)
                keys[j] = ((ulong)(BitConverter.SingleToUInt32Bits(delta[j * inner + column]) & 0x7FFFFFFFu) << 32) | (uint)j;
            var sorted = LineSort.Sort(keys, work.Spare);
            for (var rank = 0; rank < length; rank++)
            {
                var at = (int)(uint)sorted[rank] * inner + column;
                kept[at] = words[at] < Threshold(wanted, rank, length);
            }
        }

        SetBits(mask, start, kept);
    }

    /// <summary>The entry stays where its random word is below this. A line of one entry has the mean probability.</summary>
    private static uint Threshold(Wanted wanted, int rank, int length)
    {
        var probability = length == 1 ? wanted.Density : wanted.Density - wanted.Epsilon + 2 * wanted.Epsilon * rank / (length - 1);
        return Trimmer.Bound(probability);
    }

    private static void SetBits(ulong[] mask, long start, ReadOnlySpan<bool> kept)
    {
        for (var i = 0; i < kept.Length;)
        {
            var (word, bit, bits) = ((start + i) / MaskBits, (int)((start + i) % MaskBits), 0UL);
            for (; bit < MaskBits && i < kept.Length; bit++, i++)
                bits |= (kept[i] ? 1UL : 0) << bit;
            Interlocked.Or(ref mask[word], bits);
        }
    }

    private static Trimmer Masked(ulong[] mask) => new((delta, start, _) =>
    {
        for (var i = 0; i < delta.Length;)
        {
            var at = start + i;
            var bits = mask[at / MaskBits] >> (int)(at % MaskBits);
            var stop = (int)Math.Min(delta.Length, i + MaskBits - at % MaskBits);
            for (; i < stop; i++, bits >>= 1)
                delta[i] = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(delta[i]) & (uint)-(int)(bits & 1));
        }
    });

    /// <summary>A worker's memory for one slab of lines.</summary>
    private sealed class LineWork(int models, int slab, int line) : IDisposable
    {
        private readonly float[] _delta = ArrayPool<float>.Shared.Rent(checked(models * slab));
        private readonly uint[] _words = ArrayPool<uint>.Shared.Rent(slab);
        private readonly bool[] _kept = ArrayPool<bool>.Shared.Rent(slab);
        private readonly ulong[] _keys = ArrayPool<ulong>.Shared.Rent(line);
        private readonly ulong[] _spare = ArrayPool<ulong>.Shared.Rent(line);

        public Span<float> Delta(int model) => _delta.AsSpan(model * slab, slab);

        public Span<uint> Words => _words.AsSpan(0, slab);

        public Span<bool> Kept => _kept.AsSpan(0, slab);

        public Span<ulong> Keys => _keys.AsSpan(0, line);

        public Span<ulong> Spare => _spare.AsSpan(0, line);

        public void Dispose()
        {
            ArrayPool<float>.Shared.Return(_delta);
            ArrayPool<uint>.Shared.Return(_words);
            ArrayPool<bool>.Shared.Return(_kept);
            ArrayPool<ulong>.Shared.Return(_keys);
            ArrayPool<ulong>.Shared.Return(_spare);
        }
    }
}
