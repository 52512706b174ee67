using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product for many tokens. A task owns a strip of outputs and a range of tokens: it packs the strip's weights once, widened, into its worker's cache and runs
/// the micro-kernel over all its tokens. The depth is cut the same way whatever the number of tokens or threads, so neither changes the result.
/// </summary>
internal static unsafe class PackedProduct
{
    /// <summary>Longest piece of the depth that is packed at once.</summary>
    private const int MaximalDepth = 768;

    /// <summary>Floats of packed weights per worker: half of a small second-level cache.</summary>
    private const int PanelFloats = 100_000;

    /// <summary>Rows of x that stay in the second-level cache while the panels of a strip pass.</summary>
    private const int TokenChunk = 96;

    /// <summary>Fewest tokens for which weights are packed again.</summary>
    private const int TokensPerTask = 256;

    /// <summary>Tasks per thread that even out the load.</summary>
    private const int TasksPerThread = 8;

    /// <summary>Runs the product on the pool.</summary>
    public static void Run<TKernel, TDecoder>(ProductArguments product)
        where TKernel : struct, IMicroKernel
        where TDecoder : struct, IWeightDecoder
    {
        var plan = Plan.Make(product.Weights.Rows, product.Weights.Columns, product.Tokens, product.Pool.Threads, TKernel.Columns);
        product.Pool.For(plan.Strips * plan.TokenRanges, (task, worker) => RunTask<TKernel, TDecoder>(product, plan, task, worker));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunTask<TKernel, TDecoder>(in ProductArguments product, in Plan plan, int task, int worker)
        where TKernel : struct, IMicroKernel
        where TDecoder : struct, IWeightDecoder
    {
        var strip = task / plan.TokenRanges;
        var range = task % plan.TokenRanges;
        var firstOutput = strip * plan.StripWidth;
        var outputs = Math.Min(plan.StripWidth, product.Weights.Rows - firstOutput);
        var firstToken = (int)((long)product.Tokens * range / plan.TokenRanges);
        var lastToken = (int)((long)product.Tokens * (range + 1) / plan.TokenRanges);
        var panels = product.Pool.Scratch(worker, ((long)plan.StripWidth * plan.Depth) + (TKernel.Rows * TKernel.Columns));
        var depthStart = 0;
        do
        {
            var depth = Math.Min(plan.Depth, product.Weights.Columns - depthStart);
            var beta = depthStart == 0 ? product.Beta : 1;
            PackStrip<TKernel, TDecoder>(product, firstOutput, outputs, depthStart, depth, panels);
            for (var token = firstToken; token < lastToken; token += TokenChunk)
            {
                var tokens = Math.Min(TokenChunk, lastToken - token);
                MultiplyChunk<TKernel>(product, token, tokens, firstOutput, outputs, depthStart, depth, panels, plan, beta);
            }

            depthStart += depth;
        }
        while (depthStart < product.Weights.Columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackStrip<TKernel, TDecoder>(in ProductArguments product, int firstOutput, int outputs, int depthStart, int depth, float* panels)
        where TKernel : struct, IMicroKernel
        where TDecoder : struct, IWeightDecoder
    {
        var strideBytes = product.Weights.RowStrideElements * TDecoder.Size;
        for (var o = 0; o < outputs; o += TKernel.Columns)
        {
            var rows = Math.Min(TKernel.Columns, outputs - o);
            PanelPacking.Pack<TDecoder>(product.Weight(firstOutput + o, depthStart), strideBytes, rows, depth, panels + ((long)o * depth), TKernel.Columns);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyChunk<TKernel>(
        in ProductArguments product, int firstToken, int tokens, int firstOutput, int outputs, int depthStart, int depth, float* panels, in Plan plan, float beta)
        where TKernel : struct, IMicroKernel
    {
        nint xStride = product.Weights.Columns;
        var tile = panels + ((long)plan.StripWidth * plan.Depth);
        for (var o = 0; o < outputs; o += TKernel.Columns)
        {
            var panel = panels + ((long)o * depth);
            for (var t = 0; t < tokens; t += TKernel.Rows)
            {
                var rows = Math.Min(TKernel.Rows, tokens - t);
                var x = product.X + ((firstToken + t) * xStride) + depthStart;
                var y = product.Y + ((firstToken + t) * product.YStride) + firstOutput + o;
                if (o + TKernel.Columns <= outputs)
                {
                    TKernel.Run(x, xStride, rows, panel, TKernel.Columns, depth, y, product.YStride, beta);
                    continue;
                }

                TKernel.Run(x, xStride, rows, panel, TKernel.Columns, depth, tile, TKernel.Columns, 0);
                AddTile(tile, TKernel.Columns, rows, outputs - o, y, product.YStride, beta);
            }
        }
    }

    /// <summary>The last, narrow tile of a row of tiles goes through memory so that nothing beyond it is written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTile(float* tile, int tileStride, int rows, int columns, float* y, nint yStride, float beta)
    {
        for (var r = 0; r < rows; r++, y += yStride, tile += tileStride)
        {
            for (var j = 0; j < columns; j++)
                y[j] = beta == 0 ? tile[j] : MathF.FusedMultiplyAdd(beta, y[j], tile[j]);
        }
    }

    /// <summary>How a product is cut.</summary>
    /// <param name="StripWidth">Outputs of a strip, a multiple of the tile's columns.</param>
    /// <param name="Strips">Strips.</param>
    /// <param name="TokenRanges">Ranges of tokens.</param>
    /// <param name="Depth">Inputs packed at once.</param>
    private readonly record struct Plan(int StripWidth, int Strips, int TokenRanges, int Depth)
    {
        public static Plan Make(int outputs, int inputs, int tokens, int threads, int tileColumns)
        {
            var pieces = Math.Max(1, (inputs + MaximalDepth - 1) / MaximalDepth);
            var depth = Math.Max(1, (inputs + pieces - 1) / pieces);
            var panels = (outputs + tileColumns - 1) / tileColumns;
            var wantedTasks = threads * TasksPerThread;
            var widest = Math.Max(1, PanelFloats / (depth * tileColumns));
            var panelsPerStrip = Math.Clamp(panels / wantedTasks, 1, widest);
            var strips = (panels + panelsPerStrip - 1) / panelsPerStrip;
            var ranges = Math.Clamp((wantedTasks + strips - 1) / strips, 1, Math.Max(1, tokens / TokensPerTask));
            return new Plan(panelsPerStrip * tileColumns, strips, ranges, depth);
        }
    }
}
