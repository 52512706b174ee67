using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Device addresses of what routing makes of a batch.</summary>
/// <param name="Experts">int32 [tokens, topK]: the experts of each token, by falling weight.</param>
/// <param name="Weights">float32 [tokens, topK].</param>
/// <param name="Ends">int32 [experts]: the row behind the last of each expert, among rows sorted by expert.</param>
/// <param name="Rows">int32 [tokens, topK]: the row of each entry.</param>
/// <param name="Scratch">Scratch of <see cref="Routing.ScratchBytes"/>.</param>
internal readonly record struct RoutingOperands(nint Experts, nint Weights, nint Ends, nint Rows, nint Scratch);

/// <summary>The choice of experts on the device, and the order of rows for products by expert. No step waits for the host; results repeat.</summary>
internal static class Routing
{
    private const int Chunk = 1024, RouteWarps = 4, WidthThreads = 256, MostTopK = 32, MostExperts = 512;

    /// <summary>Whether it can do a rule.</summary>
    public static bool Supports(RoutingSpec spec) =>
        spec.Experts <= MostExperts && spec.TopK <= MostTopK && spec.TopK <= spec.Experts && spec.Experts % spec.Groups == 0;

    /// <summary>Bytes of scratch for some tokens.</summary>
    public static long ScratchBytes(RoutingSpec spec, int tokens) => 4L * spec.Experts * (((long)tokens * spec.TopK + Chunk - 1) / Chunk);

    /// <summary>The variant of one of the passes.</summary>
    public static KernelSpec Configure(string entry, RoutingSpec spec, CudaType element = CudaType.BFloat16, CudaType output = CudaType.Float32, bool accumulate = false) =>
        new("Routing", entry,
        [
            ("EXPERTS", spec.Experts), ("TOP_K", spec.TopK), ("SCORING", (int)spec.Scoring), ("GROUPS", spec.Groups), ("TOP_GROUPS", spec.TopGroups),
            ("SUM_OF_TWO", spec.Ranking == GroupRanking.SumOfBestTwo ? 1 : 0), ("NORMALISE", spec.Normalise ? 1 : 0),
            ("ELEMENT_BF16", element.Bf16Flag()), ("OUT_BF16", output.Bf16Flag()), ("ACCUMULATE", accumulate ? 1 : 0),
        ]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        RoutingSpec[] specs =
        [
            new() { Experts = 128, TopK = 8, Scoring = RouterScoring.Softmax, Normalise = true },
            new() { Experts = 256, TopK = 8, Scoring = RouterScoring.Sigmoid, Normalise = true, Groups = 8, TopGroups = 4, Ranking = GroupRanking.SumOfBestTwo },
            new() { Experts = 8, TopK = 2, Scoring = RouterScoring.SoftmaxOfChosen },
            new() { Experts = 60, TopK = 4, Scoring = RouterScoring.Softmax },
        ];
        string[] entries = ["route", "place_few", "count_chunk", "scan_chunks", "place_chunk", "permute", "unpermute"];
        foreach (var spec in specs)
            foreach (var entry in entries)
                yield return Configure(entry, spec);
        yield return Configure("unpermute", specs[0], CudaType.BFloat16, CudaType.Float32, accumulate: true);
        yield return Configure("unpermute", specs[0], CudaType.Float32, CudaType.BFloat16);
        yield return Configure("permute", specs[0], CudaType.Float32);
    }

    /// <summary>The experts and weights of each token, from the router's logits.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="spec">The rule; <see cref="Supports"/> says which are done.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="logits">float32 [tokens, experts].</param>
    /// <param name="correction">float32 [experts], added for the choice only; 0 for none.</param>
    /// <param name="x">Experts and weights are written.</param>
    public static void Route(CudaContext cuda, RoutingSpec spec, int tokens, nint logits, nint correction, in RoutingOperands x)
    {
        if (!Supports(spec))
            throw new CudaException($"routing to {spec.TopK} of {spec.Experts} experts in {spec.Groups} groups: at most {MostTopK} of {MostExperts} in groups of one size are done");
        if (tokens > 0)
            cuda.Kernel(Configure("route", spec)).Launch(
                cuda.Stream, ((tokens + RouteWarps - 1) / RouteWarps, 1, 1), 32 * RouteWarps,
                new Parameters { Logits = logits, Correction = correction, Experts = x.Experts, Weights = x.Weights, Tokens = tokens, Scale = spec.Scale });
    }

    /// <summary>The row of each entry among rows sorted by expert, and where the rows of each expert end.</summary>
    public static void Place(CudaContext cuda, RoutingSpec spec, int tokens, in RoutingOperands x)
    {
        var chunks = (int)(((long)tokens * spec.TopK + Chunk - 1) / Chunk);
        var parameters = new Parameters { Experts = x.Experts, Counts = x.Scratch, Ends = x.Ends, Rows = x.Rows, Tokens = tokens };
        if (chunks <= 1)
        {
            cuda.Kernel(Configure("place_few", spec)).Launch(cuda.Stream, (1, 1, 1), Chunk, parameters);
            return;
        }

        cuda.Kernel(Configure("count_chunk", spec)).Launch(cuda.Stream, (chunks, 1, 1), Chunk, parameters);
        cuda.Kernel(Configure("scan_chunks", spec)).Launch(cuda.Stream, (1, 1, 1), Chunk, parameters);
        cuda.Kernel(Configure("place_chunk", spec)).Launch(cuda.Stream, (chunks, 1, 1), Chunk, parameters);
    }

    /// <summary>permuted[row of entry] = x[token of entry].</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="spec">The rule.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="width">Width of a row, a multiple of 16 bytes.</param>
    /// <param name="x">[tokens, width].</param>
    /// <param name="rows">The row of each entry.</param>
    /// <param name="permuted">[tokens x topK, width].</param>
    /// <param name="type">Type of both.</param>
    public static void Permute(CudaContext cuda, RoutingSpec spec, int tokens, int width, nint x, nint rows, nint permuted, CudaType type)
    {
        CheckWidth(width, type);
        if (tokens > 0)
            cuda.Kernel(Configure("permute", spec, type)).Launch(
                cuda.Stream, (tokens, 1, 1), WidthThreads, new Parameters { X = x, Permuted = permuted, Rows = rows, Tokens = tokens, Width = width });
    }

    /// <summary>y[token] = (y[token] +) the sum over its entries, in their order, of weight times x[row].</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="spec">The rule.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="width">Width of a row, a multiple of 16 bytes of <paramref name="type"/>.</param>
    /// <param name="x">[tokens x topK, width].</param>
    /// <param name="type">Its type.</param>
    /// <param name="operands">Weights and rows.</param>
    /// <param name="y">[tokens, width].</param>
    /// <param name="output">Its type.</param>
    /// <param name="accumulate">Whether to add to y.</param>
    public static void Unpermute(
        CudaContext cuda, RoutingSpec spec, int tokens, int width, nint x, CudaType type, in RoutingOperands operands, nint y, CudaType output, bool accumulate)
    {
        CheckWidth(width, type);
        if (tokens > 0)
            cuda.Kernel(Configure("unpermute", spec, type, output, accumulate)).Launch(
                cuda.Stream, (tokens, 1, 1), WidthThreads,
                new Parameters { X = x, Weights = operands.Weights, Rows = operands.Rows, Y = y, Tokens = tokens, Width = width });
    }

    private static void CheckWidth(int width, CudaType type)
    {
        if (width % (16 / type.Size()) != 0)
            throw new CudaException($"rows of {width} elements of {type.Size()} bytes are no multiple of 16 bytes");
    }

    private struct Parameters
    {
        public nint Logits, Correction, Experts, Weights, Counts, Ends, Rows, X, Permuted, Y;
        public int Tokens, Width;
        public float Scale;
    }
}
