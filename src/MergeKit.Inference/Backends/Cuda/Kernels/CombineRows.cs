using MergeKit.Core.Models;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>The law of an ensemble from its members' logits on the device, in one pass over them.</summary>
internal static class CombineRows
{
    /// <summary>The most members.</summary>
    public const int MostMembers = 8;

    private const int Threads = 512, Cluster = 8, Vector = 4;

    /// <summary>The variant for a number of members.</summary>
    public static KernelSpec Configure(int members, LawRule rule, int width, bool clusters) => new("CombineRows", "combine_rows",
        [("MEMBERS", members), ("MIXTURE", rule == LawRule.Mixture ? 1 : 0), ("CLUSTER", clusters ? Cluster : 1), ("VEC", width % Vector != 0 ? 1 : members <= 4 ? Vector : Vector / 2), ("THREADS", Threads)])
    {
        NeedsHopper = clusters,
    };

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from members in Enumerable.Range(1, MostMembers)
        from rule in Enum.GetValues<LawRule>()
        from clusters in Enumerable.Range(0, 2)
        from width in Enumerable.Range(3, 2)
        select Configure(members, rule, width, clusters == 1);

    /// <summary>Log-probabilities of each row, normalised.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rule">The rule.</param>
    /// <param name="members">float32 [rows, width] of each member.</param>
    /// <param name="coefficients">float32 [rows, members].</param>
    /// <param name="output">float32 [rows, width]; may be one of the members'.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Ids.</param>
    public static unsafe void Launch(CudaContext cuda, LawRule rule, ReadOnlySpan<nint> members, nint coefficients, nint output, int rows, int width)
    {
        if (members.Length is < 1 or > MostMembers)
            throw new ArgumentException($"{members.Length} members: 1 to {MostMembers} are wanted", nameof(members));
        if (rows == 0 || width == 0)
            return;
        var parameters = new Parameters { Coefficients = coefficients, Output = output, Width = width };
        for (var k = 0; k < members.Length; k++)
            parameters.Rows[k] = members[k];
        var clusters = cuda.Device.IsHopper;
        cuda.Kernel(Configure(members.Length, rule, width, clusters)).Launch(cuda.Stream, (clusters ? Cluster : 1, rows, 1), Threads, parameters);
    }

    private unsafe struct Parameters
    {
        public fixed long Rows[MostMembers];
        public nint Coefficients, Output;
        public int Width;
    }
}
