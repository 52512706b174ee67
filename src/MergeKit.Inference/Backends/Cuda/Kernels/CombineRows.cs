namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>How the laws of an ensemble's members become one.</summary>
internal enum RowRule
{
    /// <summary><c>log softmax(sum_k w_k l_k)</c>: a product of experts (Hinton 2002), DExperts (arXiv:2105.03023); weights of any sign.</summary>
    LogLinear,

    /// <summary><c>ln sum_k w_k softmax(l_k)</c>: a mixture; weights above 0.</summary>
    Linear,
}

/// <summary>The law of an ensemble from its members' logits on the device, in one pass over them.</summary>
internal static class CombineRows
{
    /// <summary>The most members.</summary>
    public const int MostMembers = 8;

    private const int Threads = 512, Cluster = 8, Vector = 4;

    /// <summary>The variant for a number of members.</summary>
    public static KernelSpec Configure(int members, RowRule rule, int width, bool clusters) => new("CombineRows", "combine_rows",
        [("MEMBERS", members), ("MIXTURE", (int)rule), ("CLUSTER", clusters ? Cluster : 1), ("VEC", width % Vector == 0 ? Vector : 1), ("THREADS", Threads)])
    {
        NeedsHopper = clusters,
    };

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from members in Enumerable.Range(1, MostMembers)
        from rule in Enum.GetValues<RowRule>()
        from clusters in Enumerable.Range(0, 2)
        from width in Enumerable.Range(3, 2)
        select Configure(members, rule, width, clusters == 1);

    /// <summary>Log-probabilities of each row, normalised.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rule">The rule.</param>
    /// <param name="members">float32 [rows, width] of each member.</param>
    /// <param name="weights">One of each member.</param>
    /// <param name="output">float32 [rows, width]; may be one of the members'.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Ids.</param>
    public static unsafe void Launch(CudaContext cuda, RowRule rule, ReadOnlySpan<nint> members, ReadOnlySpan<float> weights, nint output, int rows, int width)
    {
        if (members.Length is < 1 or > MostMembers || weights.Length != members.Length)
            throw new ArgumentException($"{members.Length} members and {weights.Length} weights: 1 to {MostMembers}, as many of both, are wanted", nameof(members));
        if (rule == RowRule.Linear && weights.ContainsAnyExceptInRange(float.Epsilon, float.MaxValue))
            throw new ArgumentException("a mixture wants weights above 0", nameof(weights));
        if (rows == 0 || width == 0)
            return;
        var parameters = new Parameters { Output = output, Width = width };
        for (var k = 0; k < members.Length; k++)
            (parameters.Rows[k], parameters.Weights[k]) = (members[k], weights[k]);
        var clusters = cuda.Device.IsHopper;
        cuda.Kernel(Configure(members.Length, rule, width, clusters)).Launch(cuda.Stream, (clusters ? Cluster : 1, rows, 1), Threads, parameters);
    }

    private unsafe struct Parameters
    {
        public fixed long Rows[MostMembers];
        public fixed float Weights[MostMembers];
        public nint Output;
        public int Width;
    }
}
