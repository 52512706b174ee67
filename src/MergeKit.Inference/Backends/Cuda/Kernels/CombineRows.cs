using MergeKit.Core.Models;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>The law of an ensemble from its members' logits on the device, in one pass over them.</summary>
internal static class CombineRows
{
    /// <summary>The most members.</summary>
    public const int MostMembers = 8;

    private const int Cluster = 8, Vector = 4, SomeMembers = 4, StaticBytes = 2048;

    /// <summary>The variant for a number of members.</summary>
    /// <param name="members">Members.</param>
    /// <param name="rule">The rule.</param>
    /// <param name="width">Ids.</param>
    /// <param name="clusters">Whether blocks can share a row.</param>
    /// <param name="room">Shared memory of a block: what is kept there need not be read twice.</param>
    public static KernelSpec Configure(int members, LawRule rule, int width, bool clusters, int room)
    {
        var mixture = rule == LawRule.Mixture;
        var (vector, blocks, kept) = (width % Vector != 0 ? 1 : members <= SomeMembers ? Vector : Vector / 2, clusters ? Cluster : 1, mixture ? members : 1);
        long Kept(int count) => (((width / vector) + (blocks * count) - 1) / (blocks * count)) * (long)kept * count * vector * sizeof(float);
        var threads = members > SomeMembers ? 256 : Kept(512) <= room / 2 ? 512 : 1024; // more of them where only one block has room
        var bytes = Kept(threads);
        var keep = bytes <= room - StaticBytes;
        return new KernelSpec("CombineRows", "combine_rows",
            [("MEMBERS", members), ("MIXTURE", mixture ? 1 : 0), ("CLUSTER", blocks), ("VEC", vector), ("KEEP", keep ? 1 : 0), ("THREADS", threads)])
        {
            NeedsHopper = clusters,
            AllowSpills = members > 2, // some words, in a pass that waits for memory
            SharedBytes = keep ? (int)bytes : 0,
        };
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants() =>
        from members in Enumerable.Range(1, MostMembers)
        from rule in Enum.GetValues<LawRule>()
        from clusters in Enumerable.Range(0, 2)
        from width in Enumerable.Range(3, 2)
        from room in Enumerable.Range(0, 2)
        select Configure(members, rule, width, clusters == 1, room << 17);

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
        var spec = Configure(members.Length, rule, width, clusters, cuda.Device.SharedBytesPerBlock);
        cuda.Kernel(spec).Launch(cuda.Stream, (clusters ? Cluster : 1, rows, 1), spec.Defines.First(define => define.Name == "THREADS").Value, parameters);
    }

    private unsafe struct Parameters
    {
        public fixed long Rows[MostMembers];
        public nint Coefficients, Output;
        public int Width;
    }
}
