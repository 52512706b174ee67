namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Log-probabilities over chunks of the vocabulary.</summary>
internal static class ScoreHead
{
    private const int Threads = 256;

    /// <summary>The variants that tests compile: all there are.</summary>
    public static IEnumerable<KernelSpec> Variants() => [Configure("score_start"), Configure("score_update"), Configure("arg_max"), Configure("arg_max_merge"), Configure("score_merge")];

    /// <summary>A variant.</summary>
    public static KernelSpec Configure(string entry) => new("ScoreHead", entry, [("THREADS", Threads)]);

    /// <summary>Empty states for some rows.</summary>
    public static void Start(CudaContext cuda, nint states, int rows)
    {
        if (rows > 0)
            cuda.Kernel(Configure("score_start")).Launch(cuda.Stream, ((rows + Threads - 1) / Threads, 1, 1), Threads, new Parameters { States = states, Width = rows });
    }

    /// <summary>Updates the states of some rows by a chunk of logits.</summary>
    public static void Update(CudaContext cuda, int rows, in Parameters parameters)
    {
        if (rows > 0)
            cuda.Kernel(Configure("score_update")).Launch(cuda.Stream, (rows, 1, 1), Threads, parameters);
    }

    /// <summary>Blocks that share a row in <see cref="ArgMax"/>; each leaves 8 bytes.</summary>
    public const int ArgMaxBlocks = 64;

    /// <summary>The id of the largest logit of each row, the lowest of equal ones.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="logits">[rows, width] in float32.</param>
    /// <param name="bias">[width]; 0 for none.</param>
    /// <param name="parts">Room for 8 bytes per row and block.</param>
    /// <param name="ids">Receives int32.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Ids.</param>
    public static void ArgMax(CudaContext cuda, nint logits, nint bias, nint parts, nint ids, int rows, int width)
    {
        var parameters = new BestParameters { Logits = logits, Bias = bias, Parts = parts, Ids = ids, Width = width, Blocks = ArgMaxBlocks };
        cuda.Kernel(Configure("arg_max")).Launch(cuda.Stream, (ArgMaxBlocks, rows, 1), Threads, parameters);
        cuda.Kernel(Configure("arg_max_merge")).Launch(cuda.Stream, (rows, 1, 1), 32, parameters);
    }

    private struct BestParameters
    {
        public nint Logits, Bias, Parts, Ids;
        public int Width, Blocks;
    }

    /// <summary>The states of some rows from the partial results of <see cref="GroupedProduct.LaunchScores"/>.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="vocabulary">Columns in all.</param>
    /// <param name="x">The addresses that the product was given.</param>
    /// <param name="states"><see cref="State"/> of each row.</param>
    public static void Merge(CudaContext cuda, int rows, int vocabulary, in ScoreOperands x, nint states)
    {
        if (rows > 0)
            cuda.Kernel(Configure("score_merge")).Launch(cuda.Stream, (rows, 1, 1), 32, new MergeParameters
            {
                Partials = x.Partials,
                TargetLogits = x.TargetLogits,
                Targets = x.Targets,
                States = states,
                Parts = GroupedProduct.ScoreParts(vocabulary),
                Width = vocabulary,
            });
    }

    private struct MergeParameters
    {
        public nint Partials, TargetLogits, Targets, States;
        public int Parts, Width;
    }

    /// <summary>Device addresses and sizes; see the kernel.</summary>
    internal struct Parameters
    {
        public nint Logits, Bias, Targets, States;
        public int Width, First;
        public float Scale, Softcap;
    }

    /// <summary>What is known of a row.</summary>
    internal struct State
    {
        public float Max, Sum, Target;
        public int ArgMax;

        /// <summary>ln p(target).</summary>
        public readonly float LogProbability => (float)((double)Target - Max - Math.Log(Sum));
    }
}
