using System.Runtime.Intrinsics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Attention without the matrix of scores: blocks of queries over blocks of keys with an online softmax, for ragged batches, grouped
/// heads, causal and sliding-window
/// masks, soft caps, linear biases and sinks. See <see cref="AttentionKernel{TLanes, TVector, TKernel, TValues}"/>.
/// </summary>
internal static unsafe class FlashAttention
{
    /// <summary>Floats of parts that one worker merges sooner than several meet.</summary>
    private const int MergedAlone = 16 * 1024;

    /// <summary>Writes <c>softmax(scale q k^T + bias + mask) v</c> of every query. A query that sees no key gives zeros.</summary>
    /// <param name="shape">What all sequences share.</param>
    /// <param name="inputs">The operands.</param>
    /// <param name="output">[tokens, Heads x ValueDim], row-major; only the rows of the sequences' queries are written.</param>
    /// <param name="pool">Who works.</param>
    /// <exception cref="ArgumentException">The shapes do not fit each other or the output.</exception>
    public static void Run(in AttentionShape shape, AttentionInputs inputs, Span<float> output, WorkerPool pool) =>
        Run(InstructionPaths.Best, shape, inputs, output, pool);

    /// <summary>As the public method, on a given path.</summary>
    internal static void Run(InstructionPath path, in AttentionShape shape, AttentionInputs inputs, Span<float> output, WorkerPool pool)
    {
        Check(shape, inputs, output);
        fixed (float* pinned = output)
        {
            var problem = new AttentionProblem(shape, inputs, pinned);
            switch (path)
            {
                case InstructionPath.Avx512 when IsNarrow(shape.ValueDim):
                    Run<Lanes512, Vector512<float>, MicroKernel6x4<Lanes512, Vector512<float>>, MicroKernel6x2<Lanes512, Vector512<float>>>(problem, pool);
                    break;
                case InstructionPath.Avx512:
                    Run<Lanes512, Vector512<float>, MicroKernel6x4<Lanes512, Vector512<float>>, MicroKernel6x4<Lanes512, Vector512<float>>>(problem, pool);
                    break;
                case InstructionPath.Avx2:
                    Run<Lanes256, Vector256<float>, MicroKernel6x2<Lanes256, Vector256<float>>, MicroKernel6x2<Lanes256, Vector256<float>>>(problem, pool);
                    break;
                default:
                    Run<Lanes128, Vector128<float>, MicroKernel6x4<Lanes128, Vector128<float>>, MicroKernel6x4<Lanes128, Vector128<float>>>(problem, pool);
                    break;
            }
        }
    }

    /// <summary>Whether tiles of 64 columns would be half empty at the end of a value.</summary>
    private static bool IsNarrow(int valueDim) => valueDim % 64 is > 0 and <= 32;

    private static void Run<TLanes, TVector, TKernel, TValues>(AttentionProblem problem, WorkerPool pool)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TKernel : struct, IMicroKernel
        where TValues : struct, IMicroKernel
    {
        var plan = new AttentionPlan(problem, TKernel.Rows);
        var parts = pool.SharedScratch(plan.PartFloats(problem));
        pool.For(plan.Tiles.Count, (index, worker) =>
        {
            var tile = plan.Tiles[index];
            var shape = problem.Shape;
            var rows = tile.Queries * problem.Group;
            var memory = pool.Scratch(worker, AttentionScratch.Floats(rows, shape.HeadDim, shape.ValueDim, TKernel.Rows, TValues.Columns));
            var scratch = new AttentionScratch(memory, rows, shape.HeadDim, shape.ValueDim, TKernel.Rows, TValues.Columns);
            AttentionKernel<TLanes, TVector, TKernel, TValues>.Run(problem, tile, scratch);
            if (tile.Part < 0)
                AttentionKernel<TLanes, TVector, TKernel, TValues>.StoreResults(problem, tile, scratch);
            else
                AttentionKernel<TLanes, TVector, TKernel, TValues>.StorePart(problem, tile, scratch, plan.Part(problem, parts, tile.Part));
        });
        if (plan.PartFloats(problem) > MergedAlone)
            pool.For(plan.Merges.Count, (index, _) => plan.Merge(problem, plan.Merges[index], parts));
        else
            foreach (var merge in plan.Merges)
                plan.Merge(problem, merge, parts);
    }

    private static void Check(in AttentionShape shape, AttentionInputs inputs, Span<float> output)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        if (shape.KvHeads < 1 || shape.Heads < 1 || shape.Heads % shape.KvHeads != 0 || shape.HeadDim < 1 || shape.ValueDim < 1)
            throw new ArgumentException($"attention of {shape.Heads} query heads over {shape.KvHeads} key-value heads of widths {shape.HeadDim} and {shape.ValueDim} is not defined", nameof(shape));
        if (inputs.AlibiSlopes is { } slopes && slopes.Length != shape.Heads)
            throw new ArgumentException($"{slopes.Length} slopes for {shape.Heads} heads", nameof(inputs));
        if (inputs.Sinks is { } sinks && sinks.Length != shape.Heads)
            throw new ArgumentException($"{sinks.Length} sinks for {shape.Heads} heads", nameof(inputs));
        foreach (var sequence in inputs.Sequences)
        {
            if (sequence.QueryStart < 0 || sequence.QueryLength < 0 || sequence.KeyLength < 0)
                throw new ArgumentException($"a sequence of {sequence.QueryLength} queries from row {sequence.QueryStart} over {sequence.KeyLength} keys is not defined", nameof(inputs));
            if (output.Length < ((long)sequence.QueryStart + sequence.QueryLength) * shape.Heads * shape.ValueDim)
                throw new ArgumentException($"the output holds {output.Length} floats; query {sequence.QueryStart + sequence.QueryLength - 1} lies beyond it", nameof(output));
        }
    }
}
