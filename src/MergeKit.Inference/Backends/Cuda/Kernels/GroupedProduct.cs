using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>What a grouped product does with its sums.</summary>
/// <param name="Outputs">N, rows of each expert's matrix: a multiple of 8; behind a gate of 16.</param>
/// <param name="Inputs">K, a multiple of 8.</param>
/// <param name="Experts">Matrices.</param>
/// <param name="Gated">Whether rows 2i and 2i + 1 are gate and up, and the result is act(gate) x up with N / 2 columns.</param>
/// <param name="Activation">The function of the gate.</param>
/// <param name="Limit">Where set, the clamped gate with this limit.</param>
/// <param name="Biased">Whether there is a bias.</param>
internal readonly record struct GroupedForm(
    int Outputs, int Inputs, int Experts, bool Gated = false, Activation Activation = Activation.Silu, float? Limit = null, bool Biased = false)
{
    /// <summary>Columns of the result.</summary>
    public int Columns => Gated ? Outputs / 2 : Outputs;
}

/// <summary>A tile of a grouped product.</summary>
/// <param name="Rows">64 or 128.</param>
/// <param name="Cluster">Blocks that share a tile of B: 1 or 2.</param>
/// <param name="Band">Tiles of M that are worked on together.</param>
/// <param name="Lag">Blocks of K between the two warpgroups.</param>
internal readonly record struct GroupedTile(int Rows, int Cluster, int Band, int Lag)
{
    /// <summary>Columns.</summary>
    public const int Columns = 256;
}

/// <summary>Device addresses of a grouped product, all at multiples of 16 bytes.</summary>
/// <param name="X">bf16 [rows, K], the rows of the experts one after the other.</param>
/// <param name="Weights">bf16 [experts, N, K].</param>
/// <param name="Y">bf16 [rows, columns].</param>
/// <param name="Ends">int32 [experts]: the row behind the last of each; 0 where there is one matrix for all rows.</param>
/// <param name="Bias">float32 [experts, N]; 0 for none.</param>
internal readonly record struct GroupedOperands(nint X, nint Weights, nint Y, nint Ends, nint Bias = 0);

/// <summary>Device addresses of log-probabilities.</summary>
/// <param name="X">bf16 [rows, K].</param>
/// <param name="Weights">bf16 [vocabulary, K].</param>
/// <param name="Bias">float32 [vocabulary]; 0 for none.</param>
/// <param name="Targets">int32 [rows].</param>
/// <param name="Partials">Scratch of <see cref="GroupedProduct.PartialBytes"/>.</param>
/// <param name="TargetLogits">Scratch, float32 [rows].</param>
internal readonly record struct ScoreOperands(nint X, nint Weights, nint Bias, nint Targets, nint Partials, nint TargetLogits);

/// <summary>A matrix of outputs and what it is multiplied with; both at multiples of 16 bytes.</summary>
/// <param name="X">bf16 [rows, K].</param>
/// <param name="Weights">bf16 [vocabulary, K].</param>
/// <param name="Inputs">K, a multiple of 8.</param>
internal readonly record struct ScorePart(nint X, nint Weights, int Inputs);

/// <summary>Matrix products on Hopper with an epilogue of their own: of mixtures of experts, with the gate, and of the output layer's log-probabilities.</summary>
internal static class GroupedProduct
{
    private const int Threads = 384, Stages = 4, Depth = 64, PanelBytes = 32768, MostSharedBytes = 232448;

    /// <summary>Columns of the vocabulary behind one partial result.</summary>
    private const int ScoreColumns = 256;

    private enum Epilogue
    {
        Plain,
        Gated,
        Scores,
    }

    /// <summary>Whether it can do a form.</summary>
    public static bool Supports(CudaDevice device, in GroupedForm form) =>
        device.IsHopper && form is { Outputs: > 0, Inputs: > 0, Experts: > 0 } && form.Inputs % 8 == 0 && form.Outputs % (form.Gated ? 16 : 8) == 0
        && SharedBytes(new GroupedTile(128, 2, 8, 2), form.Experts, Epilogue.Plain) <= MostSharedBytes;

    /// <summary>The tile for a mean number of rows per expert, as measured on an H100.</summary>
    public static GroupedTile Choose(int rows, int experts) => (rows / experts) switch
    {
        <= 64 => new GroupedTile(64, 1, 16, 0),
        <= 192 => new GroupedTile(128, 1, 16, 0),
        _ => new GroupedTile(128, 2, 8, 0),
    };

    /// <summary>The variant for a form and a tile.</summary>
    public static KernelSpec Configure(in GroupedForm form, GroupedTile tile) => Configure(form, tile, form.Gated ? Epilogue.Gated : Epilogue.Plain);

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        var form = new GroupedForm(64, 64, 1);
        foreach (var tile in new[] { Choose(64, 1), Choose(192, 1), Choose(512, 1) })
        {
            yield return Configure(form, tile);
            yield return Configure(form with { Gated = true }, tile);
            yield return Configure(form with { Gated = true, Limit = 7, Biased = true }, tile);
            yield return Configure(form with { Gated = true, Activation = Activation.GeluTanh }, tile);
            yield return Configure(form with { Biased = true }, tile);
        }

        yield return Configure(form, ScoreTile, Epilogue.Scores);
        yield return Configure(form with { Biased = true }, ScoreTile, Epilogue.Scores);
        for (var parts = 2; parts <= MostParts; parts++)
            yield return Configure(form, ScoreTile, Epilogue.Scores, parts);
    }

    /// <summary>Multiplies the rows of each expert with its own matrix.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The product; <see cref="Supports"/> says which are done.</param>
    /// <param name="tile">The tile, or null to choose one.</param>
    /// <param name="rows">Rows in all.</param>
    /// <param name="x">Operands.</param>
    public static void Launch(CudaContext cuda, in GroupedForm form, GroupedTile? tile, int rows, in GroupedOperands x)
    {
        if (!Supports(cuda.Device, form))
            throw new CudaException($"{form}: grouped products need a Hopper GPU, outputs and inputs that are multiples of 8 (16 outputs behind a gate)");
        if (form.Biased != (x.Bias != 0) || (x.Ends == 0 && form.Experts > 1))
            throw new ArgumentException($"{form}: bias or ends of the experts are missing or too many", nameof(x));
        if (rows == 0)
            return;
        var shape = tile ?? Choose(rows, form.Experts);
        var parameters = Fill(form, shape, rows, x.X, x.Weights, x.Bias);
        parameters.C = TensorMap.Encode(x.Y, [(ulong)form.Columns, (ulong)rows], [2UL * (ulong)form.Columns], [64, 16]);
        parameters.Output = x.Y;
        parameters.Pitch = form.Columns;
        parameters.Ends = x.Ends;
        parameters.Limit = form.Limit ?? 0;
        Launch(cuda, form, shape, rows, Configure(form, shape), parameters);
    }

    /// <summary>Partial results of a row.</summary>
    public static int ScoreParts(int vocabulary) => (vocabulary + ScoreColumns - 1) / ScoreColumns;

    /// <summary>Bytes of partial results: 16 per row and 256 columns, 8 KB per row for a vocabulary of 128k.</summary>
    public static long PartialBytes(int rows, int vocabulary) => 16L * rows * ScoreParts(vocabulary);

    /// <summary>
    /// Logits of some rows, of which only each row's target's, the maximum, its column and the sum of exponentials over every 256 columns
    /// are kept; <see cref="ScoreHead.Merge"/> makes log-probabilities of them.
    /// </summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="vocabulary">Columns, a multiple of 2 where there is a bias.</param>
    /// <param name="inputs">Width of the rows, a multiple of 8.</param>
    /// <param name="scale">Factor on the logits.</param>
    /// <param name="softcap">Logits x become c tanh(x / c); 0 for none.</param>
    /// <param name="x">Operands.</param>
    public static void LaunchScores(CudaContext cuda, int rows, int vocabulary, int inputs, float scale, float softcap, in ScoreOperands x)
    {
        var form = new GroupedForm(vocabulary, inputs, 1, Biased: x.Bias != 0);
        if (!cuda.Device.IsHopper || inputs % 8 != 0 || (form.Biased && vocabulary % 2 != 0))
            throw new CudaException($"log-probabilities over {vocabulary} x {inputs} need a Hopper GPU and a multiple of 8 inputs");
        if (rows == 0)
            return;
        var parameters = Fill(form, ScoreTile, rows, x.X, x.Weights, x.Bias);
        parameters.C = parameters.A;
        parameters.Partials = x.Partials;
        parameters.TargetLogits = x.TargetLogits;
        parameters.Targets = x.Targets;
        parameters.Parts = ScoreParts(vocabulary);
        parameters.Scale = scale;
        parameters.Softcap = softcap;
        Launch(cuda, form, ScoreTile, rows, Configure(form, ScoreTile, Epilogue.Scores), parameters);
    }

    /// <summary>The most pairs of <see cref="LaunchSumScores"/>.</summary>
    public const int MostParts = 8;

    /// <summary>As <see cref="LaunchScores"/>, of the sum of several products: one product whose K is that of all of them together.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="vocabulary">Columns; matrices may have more rows.</param>
    /// <param name="terms">1 to <see cref="MostParts"/> pairs.</param>
    /// <param name="x">Targets and scratch.</param>
    public static void LaunchSumScores(CudaContext cuda, int rows, int vocabulary, ReadOnlySpan<ScorePart> terms, in ScoreOperands x)
    {
        if (terms.Length is < 1 or > MostParts)
            throw new ArgumentException($"{terms.Length} products: 1 to {MostParts} are wanted", nameof(terms));
        if (terms.Length == 1)
        {
            LaunchScores(cuda, rows, vocabulary, terms[0].Inputs, 1, 0, x with { X = terms[0].X, Weights = terms[0].Weights });
            return;
        }

        if (rows == 0)
            return;
        var parameters = default(SumParameters);
        var blocks = 0;
        for (var i = 0; i < terms.Length; i++)
        {
            var own = Fill(new GroupedForm(vocabulary, terms[i].Inputs, 1), ScoreTile, rows, terms[i].X, terms[i].Weights, 0);
            parameters.Set(terms.Length, i, own, (terms[i].Inputs + Depth - 1) / Depth);
            blocks += (terms[i].Inputs + Depth - 1) / Depth;
        }

        parameters.First.C = parameters.First.A;
        parameters.First.Partials = x.Partials;
        parameters.First.TargetLogits = x.TargetLogits;
        parameters.First.Targets = x.Targets;
        parameters.First.Parts = ScoreParts(vocabulary);
        parameters.First.Scale = 1;
        parameters.First.K = blocks * Depth;
        var form = new GroupedForm(vocabulary, blocks * Depth, 1);
        Launch(cuda, form, ScoreTile, rows, Configure(form, ScoreTile, Epilogue.Scores, terms.Length), parameters);
    }

    private static GroupedTile ScoreTile => new(128, 2, 8, 2);

    private static KernelSpec Configure(in GroupedForm form, GroupedTile tile, Epilogue epilogue, int parts = 1) => new("GroupedProduct", "grouped_product",
    [
        ("BM", tile.Rows), ("BN", GroupedTile.Columns), ("STAGES", Stages), ("CLUSTER", tile.Cluster), ("GROUP", tile.Band), ("LAG", tile.Lag),
        ("EPILOGUE", (int)epilogue), ("PARTS", parts), ("BIAS", form.Biased ? 1 : 0),
        ("ACTIVATION", form is { Gated: true, Limit: null } ? (int)form.Activation : (int)Activation.QuickGelu), ("CLAMPED", form.Limit is null ? 0 : 1),
    ])
    {
        NeedsHopper = true,
        AllowSpills = epilogue == Epilogue.Scores && form.Biased, // one word behind the main loop with NVRTC 12.4, none with 13.0
        Wgmma = [new WgmmaShape(tile.Rows == 64 ? GroupedTile.Columns / 2 : GroupedTile.Columns, false, false)],
        SharedBytes = SharedBytes(tile, form.Experts, epilogue),
    };

    private static int SharedBytes(GroupedTile tile, int experts, Epilogue epilogue) =>
        Stages * 2 * Depth * (tile.Rows + GroupedTile.Columns) + (epilogue == Epilogue.Scores ? 0 : PanelBytes) + 16 * Stages + 4 * (experts + 1) + 1024;

    private static Parameters Fill(in GroupedForm form, GroupedTile tile, int rows, nint x, nint weights, nint bias) => new()
    {
        A = TensorMap.Encode(x, [(ulong)form.Inputs, (ulong)rows], [2UL * (ulong)form.Inputs], [64, (uint)tile.Rows]),
        B = TensorMap.Encode(
            weights, [(ulong)form.Inputs, (ulong)form.Outputs, (ulong)form.Experts], [2UL * (ulong)form.Inputs, 2UL * (ulong)form.Inputs * (ulong)form.Outputs],
            [64, (uint)(GroupedTile.Columns / tile.Cluster), 1]),
        Bias = bias,
        Rows = rows,
        N = form.Outputs,
        K = form.Inputs,
        Experts = form.Experts,
    };

    private static void Launch<T>(CudaContext cuda, in GroupedForm form, GroupedTile tile, int rows, KernelSpec spec, in T parameters)
        where T : unmanaged
    {
        var most = (long)((form.Outputs + GroupedTile.Columns - 1) / GroupedTile.Columns) * ((rows + tile.Rows * tile.Cluster - 1) / (tile.Rows * tile.Cluster) + form.Experts - 1);
        var clusters = (int)Math.Min(cuda.Device.Multiprocessors / tile.Cluster, most);
        cuda.Kernel(spec).Launch(cuda.Stream, (clusters * tile.Cluster, 1, 1), Threads, parameters);
    }

    private struct Parameters
    {
        public TensorMap A, B, C;
        public nint Output, Ends, Bias, Partials, TargetLogits, Targets;
        public long Pitch;
        public int Rows, N, K, Experts, Parts;
        public float Limit, Scale, Softcap;
    }

    /// <summary>Parameters of a sum: tensor maps of the parts behind the first, where the kernel's alignment has them, then all parts' numbers of blocks.</summary>
    [StructLayout(LayoutKind.Explicit, Size = MoreAt + (MostParts - 1) * 2 * MapBytes + MostParts * sizeof(int))]
    private unsafe struct SumParameters
    {
        private const int MapBytes = 128, MoreAt = 512;

        [FieldOffset(0)]
        public Parameters First;

        [FieldOffset(MoreAt)]
        private fixed byte _more[(MostParts - 1) * 2 * MapBytes + MostParts * sizeof(int)];

        public void Set(int parts, int part, in Parameters own, int blocks)
        {
            fixed (byte* more = _more)
            {
                if (part == 0)
                    First = own;
                else
                {
                    ((TensorMap*)more)[2 * part - 2] = own.A;
                    ((TensorMap*)more)[2 * part - 1] = own.B;
                }

                ((int*)(more + (parts - 1) * 2 * MapBytes))[part] = blocks;
            }
        }
    }
}
