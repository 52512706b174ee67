using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Attention of a block of queries, of all query heads over one key-value head, by an online softmax over blocks of keys
/// (Dao et al. 2022, "FlashAttention"; Milakov and Gimelshein 2018): for each block the running maximum m, the running sum l and the
/// unnormalised output o become
/// <c>m' = max(m, max s)</c>, <c>l' = l e^(m - m') + sum e^(s - m')</c>, <c>o' = o e^(m - m') + e^(s - m') V</c>; the result is o / l.
/// Blocks of keys lie at fixed positions, so a query's result depends on no other query, sequence or thread.
/// </summary>
/// <typeparam name="TLanes">The vectors' operations.</typeparam>
/// <typeparam name="TVector">A vector.</typeparam>
/// <typeparam name="TKernel">Multiplies queries by keys.</typeparam>
/// <typeparam name="TValues">Multiplies weights by values, of as many rows as <typeparamref name="TKernel"/>.</typeparam>
internal static unsafe class AttentionKernel<TLanes, TVector, TKernel, TValues>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
    where TKernel : struct, IMicroKernel
    where TValues : struct, IMicroKernel
{
    /// <summary>The most rows for which packing the keys costs more than it saves.</summary>
    private const int FewRows = 4;

    /// <summary>
    /// Computes one block: queries of one sequence over one key-value head and a range of keys that begins at a multiple of the key
    /// block.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(in AttentionProblem problem, in AttentionTile tile, in AttentionScratch scratch)
    {
        ref readonly var sequence = ref problem.Inputs.Sequences[tile.Sequence];
        var rows = tile.Queries * problem.Group;
        LoadQueries(problem, sequence, tile, scratch);
        var first = AttentionProblem.Position(sequence, tile.FirstQuery);
        var begin = Math.Max(tile.FirstKey, problem.FirstKey(first) / AttentionScratch.KeyBlock * AttentionScratch.KeyBlock);
        var end = Math.Min(tile.EndKey, problem.EndKey(first + tile.Queries - 1, sequence.KeyLength));
        Foresee(AttentionProblem.Key(sequence, begin, tile.KvHead), sequence.KeyTokenStride, problem.Shape.HeadDim, Math.Min(AttentionScratch.KeyBlock, end - begin));
        for (var key = begin; key < end; key += AttentionScratch.KeyBlock)
        {
            var keys = Math.Min(AttentionScratch.KeyBlock, end - key);
            Foresee(AttentionProblem.Value(sequence, key, tile.KvHead), sequence.ValueTokenStride, problem.Shape.ValueDim, keys);
            var next = Math.Min(AttentionScratch.KeyBlock, end - key - keys);
            Foresee(AttentionProblem.Key(sequence, key + keys, tile.KvHead), sequence.KeyTokenStride, problem.Shape.HeadDim, next);
            if (rows > FewRows)
                PackKeys(problem, sequence, tile.KvHead, key, keys, scratch);
            LoadValues(problem, sequence, tile.KvHead, key, keys, scratch);
            for (var row = 0; row < rows; row += TKernel.Rows)
                RunRows(problem, sequence, tile, scratch, row, Math.Min(TKernel.Rows, rows - row), key, keys);
        }
    }

    /// <summary>Writes o / l of every row, or zeros where no key was seen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreResults(in AttentionProblem problem, in AttentionTile tile, in AttentionScratch scratch)
    {
        ref readonly var sequence = ref problem.Inputs.Sequences[tile.Sequence];
        var row = 0;
        for (var g = 0; g < problem.Group; g++)
        {
            for (var i = 0; i < tile.Queries; i++, row++)
            {
                var sum = scratch.Sum[row];
                var factor = sum > 0 ? 1 / sum : float.IsNaN(sum) ? sum : 0;
                var o = scratch.O + (row * scratch.OutputWidth);
                var result = problem.Result(sequence, tile.FirstQuery + i, (tile.KvHead * problem.Group) + g);
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(o, problem.Shape.ValueDim), factor, new Span<float>(result, problem.Shape.ValueDim));
            }
        }
    }

    /// <summary>Writes m, l and o of every row, for <see cref="AttentionPlan.Merge"/>.</summary>
    public static void StorePart(in AttentionProblem problem, in AttentionTile tile, in AttentionScratch scratch, float* part)
    {
        var rows = tile.Queries * problem.Group;
        for (var row = 0; row < rows; row++, part += problem.Shape.ValueDim + 2)
        {
            part[0] = scratch.Maximum[row];
            part[1] = scratch.Sum[row];
            new Span<float>(scratch.O + (row * scratch.OutputWidth), problem.Shape.ValueDim).CopyTo(new Span<float>(part + 2, problem.Shape.ValueDim));
        }
    }

    /// <summary>Scaled queries, head by head; zero outputs; the sink, if any, as the first thing seen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void LoadQueries(
        in AttentionProblem problem, in AttentionSequence sequence, in AttentionTile tile, in AttentionScratch scratch)
    {
        var q = scratch.Q;
        var row = 0;
        for (var g = 0; g < problem.Group; g++)
        {
            var head = (tile.KvHead * problem.Group) + g;
            var sink = problem.Inputs.Sinks is { } sinks && tile.TakesSink ? sinks[head] : float.NegativeInfinity;
            for (var i = 0; i < tile.Queries; i++, row++, q += problem.Shape.HeadDim)
            {
                var source = problem.Query(sequence, tile.FirstQuery + i, head);
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(source, problem.Shape.HeadDim), problem.Shape.Scale, new Span<float>(q, problem.Shape.HeadDim));
                scratch.Maximum[row] = sink;
                scratch.Sum[row] = float.IsNegativeInfinity(sink) ? 0 : 1;
            }
        }

        new Span<float>(scratch.O, row * scratch.OutputWidth).Clear();
    }

    /// <summary>Asks for rows that are needed soon; it matters where a cache longer than the processor's meets few queries.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Foresee(float* rows, nint stride, int width, int count)
    {
        const int line = 16;
        if (!Sse.IsSupported)
            return;
        for (var i = 0; i < count; i++, rows += stride)
        {
            for (var d = 0; d < width; d += line)
                Sse.Prefetch1(rows + d);
        }
    }

    private static void PackKeys(
        in AttentionProblem problem, in AttentionSequence sequence, int head, int key, int keys, in AttentionScratch scratch)
    {
        var depth = problem.Shape.HeadDim;
        var strideBytes = (long)sequence.KeyTokenStride * sizeof(float);
        for (var c = 0; c < keys; c += TKernel.Columns)
        {
            var columns = Math.Min(TKernel.Columns, keys - c);
            var k = (byte*)AttentionProblem.Key(sequence, key + c, head);
            PanelPacking.Pack<SingleDecoder>(k, strideBytes, columns, depth, scratch.K + (c * depth), TKernel.Columns);
        }
    }

    private static void LoadValues(
        in AttentionProblem problem, in AttentionSequence sequence, int head, int key, int keys, in AttentionScratch scratch)
    {
        if (scratch.V == null)
            return;
        for (var i = 0; i < keys; i++)
        {
            var source = AttentionProblem.Value(sequence, key + i, head);
            var target = new Span<float>(scratch.V + (i * scratch.OutputWidth), scratch.OutputWidth);
            new Span<float>(source, problem.Shape.ValueDim).CopyTo(target);
            target[problem.Shape.ValueDim..].Clear();
        }
    }

    /// <summary>A few rows (query heads by queries) against one block of keys.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunRows(
        in AttentionProblem problem, in AttentionSequence sequence, in AttentionTile tile, in AttentionScratch scratch, int row, int rows, int key, int keys)
    {
        int lowest = int.MaxValue, highest = 0;
        for (var r = row; r < row + rows; r++)
        {
            var position = AttentionProblem.Position(sequence, tile.FirstQuery + (r % tile.Queries));
            lowest = Math.Min(lowest, problem.FirstKey(position));
            highest = Math.Max(highest, problem.EndKey(position, sequence.KeyLength));
        }

        if (lowest >= key + keys || highest <= key)
            return;
        keys = Math.Min(keys, highest - key);
        nint depth = problem.Shape.HeadDim;
        var q = scratch.Q + (row * depth);
        if (tile.Queries * problem.Group <= FewRows)
            FewRowScores<TLanes, TVector>.Run(q, depth, rows, AttentionProblem.Key(sequence, key, tile.KvHead), sequence.KeyTokenStride, keys, scratch.S);
        else
            for (var c = 0; c < keys; c += TKernel.Columns)
                TKernel.Run(q, depth, rows, scratch.K + (c * depth), TKernel.Columns, depth, scratch.S + c, AttentionScratch.KeyBlock, 0);
        for (var r = 0; r < rows; r++)
            Weigh(problem, sequence, tile, scratch, row + r, scratch.S + (r * AttentionScratch.KeyBlock), key, keys);
        var o = scratch.O + (row * scratch.OutputWidth);
        var v = scratch.V != null ? scratch.V : AttentionProblem.Value(sequence, key, tile.KvHead);
        var vStride = scratch.V != null ? scratch.OutputWidth : sequence.ValueTokenStride;
        for (var c = 0; c < scratch.OutputWidth; c += TValues.Columns)
            TValues.Run(scratch.S, AttentionScratch.KeyBlock, rows, v + c, vStride, keys, o + c, scratch.OutputWidth, 1);
    }

    /// <summary>Turns a row of scores into weights relative to the new maximum, and rescales what the row has gathered.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(
        in AttentionProblem problem, in AttentionSequence sequence, in AttentionTile tile, in AttentionScratch scratch, int row, float* s, int key, int keys)
    {
        var position = AttentionProblem.Position(sequence, tile.FirstQuery + (row % tile.Queries));
        var from = Math.Clamp(problem.FirstKey(position) - key, 0, keys);
        var to = Math.Clamp(problem.EndKey(position, sequence.KeyLength) - key, 0, keys);
        if (from >= to)
        {
            new Span<float>(s, keys).Clear();
            return;
        }

        var padded = (keys + TLanes.Count - 1) / TLanes.Count * TLanes.Count;
        if (problem.Shape.Softcap > 0)
            Cap(s, padded, problem.Shape.Softcap);
        if (problem.Inputs.AlibiSlopes is { } slopes)
        {
            // A softmax does not see a constant, and distances to the query keep more digits than positions; only a sink makes the
            // constant count.
            var origin = problem.Inputs.Sinks is null ? position : 0;
            AddBias(s, padded, slopes[(tile.KvHead * problem.Group) + (row / tile.Queries)], key - origin, scratch.Ramp);
        }

        new Span<float>(s, from).Fill(float.NegativeInfinity);
        new Span<float>(s + to, padded - to).Fill(float.NegativeInfinity);
        var before = scratch.Maximum[row];
        var maximum = MathF.Max(before, Largest(s, padded));
        var sum = Exponentiate(s, padded, float.IsNegativeInfinity(maximum) ? 0 : maximum);
        var decay = before == maximum ? 1 : MathF.Exp(before - maximum);
        scratch.Sum[row] = (scratch.Sum[row] * decay) + sum;
        scratch.Maximum[row] = maximum;
        if (decay != 1)
            Rescale(scratch.O + (row * scratch.OutputWidth), scratch.OutputWidth, decay);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Largest(float* s, int count)
    {
        var a = TLanes.Load(s);
        var b = a;
        var i = TLanes.Count;
        for (; i + TLanes.Count < count; i += 2 * TLanes.Count)
        {
            a = TLanes.Max(a, TLanes.Load(s + i));
            b = TLanes.Max(b, TLanes.Load(s + i + TLanes.Count));
        }

        if (i < count)
            a = TLanes.Max(a, TLanes.Load(s + i));
        return TLanes.MaxLane(TLanes.Max(a, b));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Exponentiate(float* s, int count, float maximum)
    {
        var m = TLanes.Create(maximum);
        var sum = TLanes.Create(0);
        for (var i = 0; i < count; i += TLanes.Count)
        {
            var weight = VectorMath<TLanes, TVector>.Exp(TLanes.Subtract(TLanes.Load(s + i), m));
            sum = TLanes.Add(sum, weight);
            TLanes.Store(weight, s + i);
        }

        return TLanes.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rescale(float* o, int count, float factor)
    {
        var f = TLanes.Create(factor);
        for (var i = 0; i < count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(TLanes.Load(o + i), f), o + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Cap(float* s, int count, float cap)
    {
        TVector factor = TLanes.Create(cap), inverse = TLanes.Create(1 / cap);
        for (var i = 0; i < count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(factor, VectorMath<TLanes, TVector>.Tanh(TLanes.Multiply(TLanes.Load(s + i), inverse))), s + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddBias(float* s, int count, float slope, int firstDistance, float* ramp)
    {
        TVector factor = TLanes.Create(slope), start = TLanes.Create(firstDistance);
        for (var i = 0; i < count; i += TLanes.Count)
            TLanes.Store(TLanes.MultiplyAdd(factor, TLanes.Add(start, TLanes.Load(ramp + i)), TLanes.Load(s + i)), s + i);
    }
}
