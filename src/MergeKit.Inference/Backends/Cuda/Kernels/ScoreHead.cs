namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Log-probabilities over chunks of the vocabulary.</summary>
internal static class ScoreHead
{
    private const int Threads = 256;

    /// <summary>The variants that tests compile: all there are.</summary>
    public static IEnumerable<KernelSpec> Variants() => [Configure("score_start"), Configure("score_update"), Configure("score_merge")];

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
