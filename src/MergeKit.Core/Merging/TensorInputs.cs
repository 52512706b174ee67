using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>Looks at one range of a tensor.</summary>
public delegate void ChunkVisitor(Chunk chunk);

/// <summary>Adds what one block of a tensor contributes to each of several sums.</summary>
/// <param name="chunk">The chunk that holds the block.</param>
/// <param name="offset">The block's first element within the chunk.</param>
/// <param name="length">The block's length.</param>
/// <param name="sums">One accumulator per sum, zero on entry.</param>
public delegate void BlockSums(Chunk chunk, int offset, int length, Span<double> sums);

/// <summary>The sources of one output tensor, and streaming passes over them. Sums are the same bits for any chunk size and thread count:
/// they are formed per fixed block and added in block order.</summary>
public sealed class TensorInputs
{
    /// <summary>Elements of one summation block; chunks are a multiple of it.</summary>
    public const int BlockElements = 16384;

    private readonly Worker _worker;

    /// <summary>The sources of <paramref name="job"/>, read on <paramref name="worker"/> and its idle colleagues.</summary>
    public TensorInputs(TensorJob job, ulong seed, Worker worker) => (Job, Seed, _worker) = (job, seed, worker);

    /// <summary>What is being made.</summary>
    public TensorJob Job { get; }

    /// <summary>The run's random seed.</summary>
    public ulong Seed { get; }

    /// <summary>Number of elements.</summary>
    public long Count => Job.Count;

    /// <summary>Elements of one chunk.</summary>
    public int ChunkElements => _worker.Buffers.ChunkElements;

    /// <summary>Visits every chunk once, in any order and on any worker.</summary>
    public void ForEachChunk(ChunkVisitor visit)
    {
        var chunks = checked((int)((Count + ChunkElements - 1) / ChunkElements));
        _worker.For(chunks, (index, worker) => visit(Load((long)index * ChunkElements, worker)));
    }

    /// <summary>Calls <paramref name="body"/> for 0 .. count-1 on any worker, with inputs whose <see cref="Range"/> reads on that worker.</summary>
    public void ForEach(int count, Action<int, TensorInputs> body) =>
        _worker.For(count, (index, worker) => body(index, new TensorInputs(Job, Seed, worker)));

    /// <summary>Visits <paramref name="count"/> short ranges spread evenly over the tensor, on this worker only.</summary>
    public void Sample(int count, int length, ChunkVisitor visit)
    {
        for (var i = 0; i < count; i++)
            visit(Load((Count - length) / Math.Max(1, count - 1) * i, _worker, length));
    }

    /// <summary>Visits one range that is no longer than a chunk, on this worker.</summary>
    public void Range(long start, int length, ChunkVisitor visit) => visit(Load(start, _worker, length));

    /// <summary>Several sums over the whole tensor in one pass.</summary>
    public double[] Sum(int width, BlockSums body)
    {
        var blocks = checked((int)((Count + BlockElements - 1) / BlockElements));
        var partial = new double[checked(blocks * width)];
        ForEachChunk(chunk =>
        {
            for (var offset = 0; offset < chunk.Length; offset += BlockElements)
            {
                var block = (int)((chunk.Start + offset) / BlockElements);
                body(chunk, offset, Math.Min(BlockElements, chunk.Length - offset), partial.AsSpan(block * width, width));
            }
        });
        var sums = new double[width];
        for (var i = 0; i < partial.Length; i++)
            sums[i % width] += partial[i];
        return sums;
    }

    /// <summary>Decomposes a matrix with no more rows than columns, which is overwritten; counts it in the run's progress.</summary>
    public ThinSvd Decompose(double[][] rows, ParallelLoop loop) => _worker.Matrices.Decompose(Job.Name, rows, loop);

    /// <summary>Solves S X = T in place by Cholesky's decomposition, counted likewise.</summary>
    public void Solve(double[][] left, double[][] right, ParallelLoop loop) => _worker.Matrices.Solve(Job.Name, left, right, loop);

    /// <summary>The random words of one source.</summary>
    public CounterRandom RandomFor(int source) => new(Seed, Job.Name, source);

    private Chunk Load(long start, Worker worker, int? length = null)
    {
        var take = (int)Math.Min(length ?? ChunkElements, Count - start);
        var chunk = new Chunk(start, take, Job.Sources.Count, worker.Buffers);
        for (var i = 0; i < Job.Sources.Count; i++)
            Job.Sources[i].Data.Read(start, chunk.Source(i), worker.Buffers.Bytes);
        return chunk;
    }
}
