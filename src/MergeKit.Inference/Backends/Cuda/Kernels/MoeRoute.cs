using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>The choice of experts of every token.</summary>
internal static class MoeRoute
{
    private const int Warps = 4, MostGroups = 64;

    /// <summary>The variant for a rule.</summary>
    public static KernelSpec Configure(RoutingSpec routing) => routing.Groups > MostGroups
        ? throw new CudaException($"experts in {routing.Groups} groups: the GPU's router knows {MostGroups} at most")
        : new KernelSpec("MoeRoute", "moe_route",
        [
            ("EXPERTS", routing.Experts), ("TOP_K", routing.TopK), ("SCORING", (int)routing.Scoring), ("NORMALISE", routing.Normalise ? 1 : 0),
            ("GROUPS", routing.Groups), ("TOP_GROUPS", routing.TopGroups), ("BEST_TWO", routing.Ranking == GroupRanking.SumOfBestTwo ? 1 : 0),
        ]);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
    [
        Configure(new RoutingSpec { Experts = 8, TopK = 2, Scoring = RouterScoring.Softmax, Normalise = true }),
        Configure(new RoutingSpec { Experts = 128, TopK = 8, Scoring = RouterScoring.Softmax, Normalise = true }),
        Configure(new RoutingSpec { Experts = 32, TopK = 4, Scoring = RouterScoring.SoftmaxOfChosen }),
        Configure(new RoutingSpec { Experts = 160, TopK = 6, Scoring = RouterScoring.Softmax, Groups = 8, TopGroups = 3 }),
        Configure(new RoutingSpec { Experts = 256, TopK = 8, Scoring = RouterScoring.Sigmoid, Normalise = true, Groups = 8, TopGroups = 4, Ranking = GroupRanking.SumOfBestTwo }),
    ];

    /// <summary>Experts and weights [tokens, TopK] by falling weight, from logits [tokens, experts] in float32.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="routing">The rule.</param>
    /// <param name="logits">Router logits.</param>
    /// <param name="correction">Added to the scores for the choice only; 0 for none.</param>
    /// <param name="experts">Receives int32.</param>
    /// <param name="weights">Receives float32.</param>
    /// <param name="tokens">Rows.</param>
    public static void Launch(CudaContext cuda, RoutingSpec routing, nint logits, nint correction, nint experts, nint weights, int tokens)
    {
        if (tokens > 0)
            cuda.Kernel(Configure(routing)).Launch(cuda.Stream, ((tokens + Warps - 1) / Warps, 1, 1), Warps * 32, new Parameters
            {
                Logits = logits,
                Correction = correction,
                Experts = experts,
                Weights = weights,
                Tokens = tokens,
                Scale = routing.Scale,
            });
    }

    private struct Parameters
    {
        public nint Logits, Correction, Experts, Weights;
        public int Tokens;
        public float Scale;
    }
}
