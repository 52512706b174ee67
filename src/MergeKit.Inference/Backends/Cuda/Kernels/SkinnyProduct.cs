using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>A product of a few rows, y [Rows, N] = x [Rows, K] W [N, K]^T (+ bias) (+ residual), or act(gate) x up of it.</summary>
/// <param name="Rows">Rows of x, 1 to 16; behind <see cref="SkinnyProduct.LaunchExperts"/> the most that one expert can have.</param>
/// <param name="Outputs">N, rows of W; with a gate, both halves together.</param>
/// <param name="Inputs">K, a multiple of 8.</param>
/// <param name="Output">Type of y and of the residual.</param>
/// <param name="Gate">Whether W's rows are gate and up, and in which order; y then has N / 2 columns.</param>
/// <param name="Activation">The function of the gate.</param>
/// <param name="Limit">Where set, the clamped gate with this limit.</param>
internal readonly record struct SkinnyForm(
    int Rows, int Outputs, int Inputs, CudaType Output, GateKind Gate = GateKind.None, Activation Activation = Activation.Silu, float? Limit = null)
{
    /// <summary>Columns of y.</summary>
    public int Columns => Gate == GateKind.None ? Outputs : Outputs / 2;
}

/// <summary>Device addresses of a product; 0 where there is none.</summary>
/// <param name="X">bf16 [rows, K], rows and address at multiples of 16 bytes.</param>
/// <param name="Weights">bf16 [N, K] (of each expert), likewise.</param>
/// <param name="Y">[rows, columns].</param>
/// <param name="Bias">float32 [N] (of each expert).</param>
/// <param name="Residual">Like y; may be y.</param>
/// <param name="PitchX">Elements from a row of x to the next; 0 for dense rows.</param>
/// <param name="PitchWeights">Likewise of the weights.</param>
/// <param name="PitchY">Likewise of y and the residual.</param>
internal readonly record struct SkinnyOperands(nint X, nint Weights, nint Y, nint Bias = 0, nint Residual = 0, int PitchX = 0, long PitchWeights = 0, int PitchY = 0);

/// <summary>How a product is laid out on a device.</summary>
/// <param name="Splits">Blocks of a cluster that share K.</param>
/// <param name="Slice">Columns of W for each of them.</param>
/// <param name="Stride">Bytes of a row of x in shared memory.</param>
/// <param name="Hold">Tiles whose sums a block keeps until its cluster adds them.</param>
/// <param name="Blocks">Blocks in all.</param>
/// <param name="SharedBytes">Dynamic shared memory.</param>
internal readonly record struct SkinnyLayout(int Splits, int Slice, int Stride, int Hold, int Blocks, int SharedBytes);

/// <summary>Matrix products of 1 to 16 rows in bf16, bound by the reading of the weights.</summary>
internal static class SkinnyProduct
{
    /// <summary>The most rows.</summary>
    public const int MostRows = 16;

    /// <summary>The most experts of a grouped product.</summary>
    public const int MostExperts = 512;

    private const int Warps = 16, Threads = 32 * Warps, Steps = 4, Round = Warps * Steps * 32;

    /// <summary>Shared memory that the kernel has besides the dynamic part.</summary>
    private const int StaticBytes = 4096;

    /// <summary>What joining a cluster at the end costs, in columns of a tile that could be read meanwhile.</summary>
    private const int MergeCost = 1400;

    private static readonly int[] Clusters = [1, 2, 4, 8];

    /// <summary>Whether a product can be done on a device; where not, cuBLASLt does it.</summary>
    public static bool Supports(CudaDevice device, in SkinnyForm form) =>
        form is { Rows: >= 1 and <= MostRows, Outputs: > 0, Inputs: > 0 } && form.Inputs % 8 == 0 && (form.Gate == GateKind.None || form.Outputs % 2 == 0)
        && (device.IsHopper || (form.Rows <= 8 && FitsOneBlock(device, form)));

    /// <summary>Whether a product over experts can be done: x of an expert has to fit one block.</summary>
    public static bool SupportsExperts(CudaDevice device, in SkinnyForm form, int experts) =>
        Supports(device, form) && experts <= MostExperts && FitsOneBlock(device, form);

    /// <summary>The variant for a form.</summary>
    public static KernelSpec Configure(in SkinnyForm form, int splits, bool grouped, int sharedBytes)
    {
        var gated = form.Gate != GateKind.None;
        return new KernelSpec("SkinnyProduct", "skinny_product",
        [
            ("NT", form.Rows <= 8 ? 1 : 2), ("WARPS", Warps), ("U", Steps), ("SPLITS", splits), ("GROUPED", grouped ? 1 : 0),
            ("OUT_BF16", form.Output.Bf16Flag()), ("GATE", (int)form.Gate), ("ACTIVATION", gated && form.Limit is null ? (int)form.Activation : gated ? (int)Activation.QuickGelu : 0),
            ("CLAMPED", form.Limit is null ? 0 : 1),
        ])
        { SharedBytes = sharedBytes, NeedsHopper = splits > 1 || form.Rows > 8 };
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        foreach (var rows in new[] { 1, 16 })
            foreach (var output in Enum.GetValues<CudaType>())
                foreach (var (splits, grouped) in new[] { (1, false), (2, false), (4, false), (8, false), (1, true) })
                    yield return Configure(new SkinnyForm(rows, 64, 64, output), splits, grouped, 1 << 16);
        foreach (var rows in new[] { 1, 16 })
            foreach (var (splits, grouped) in new[] { (1, false), (4, false), (1, true) })
            {
                yield return Configure(new SkinnyForm(rows, 64, 64, CudaType.BFloat16, GateKind.Halves), splits, grouped, 1 << 16);
                yield return Configure(new SkinnyForm(rows, 64, 64, CudaType.BFloat16, GateKind.Interleaved, Activation.GeluTanh), splits, grouped, 1 << 16);
                yield return Configure(new SkinnyForm(rows, 64, 64, CudaType.BFloat16, GateKind.Interleaved, Limit: 7), splits, grouped, 1 << 16);
            }
    }

    /// <summary>The layout that has least to read one after the other, where K may be shared by clusters.</summary>
    /// <param name="form">The product.</param>
    /// <param name="sharedBytes">Shared memory of a block.</param>
    /// <param name="clusters">Clusters of a size (1, 2, 4, 8) that run at once; 0 where there are no clusters.</param>
    public static SkinnyLayout Choose(in SkinnyForm form, int sharedBytes, Func<int, int> clusters)
    {
        var (best, least) = (default(SkinnyLayout), long.MaxValue);
        foreach (var splits in Clusters)
        {
            var slice = Ceiling(Ceiling(form.Inputs, splits), 128) * 128;
            var (stride, tiles) = (StrideOf(slice), Ceiling(form.Columns, form.Gate == GateKind.None ? 16 : 8));
            var used = SumBytes(form.Rows) + form.Rows * stride;
            var count = splits > 1 && slice >= form.Inputs ? 0 : clusters(splits);
            var room = sharedBytes - used;
            if (room < (splits > 1 ? HoldBytes(form.Rows) : 0) || count == 0)
                continue;
            count = Math.Min(count, tiles);
            var rounds = Ceiling(tiles, count);
            var cost = ((long)rounds * slice) + (splits > 1 ? MergeCost : 0);
            if (cost >= least)
                continue;
            var hold = splits > 1 ? Math.Min(rounds, room / HoldBytes(form.Rows)) : 0;
            (best, least) = (new SkinnyLayout(splits, splits > 1 ? slice : form.Inputs, stride, hold, count * splits, used + hold * HoldBytes(form.Rows)), cost);
        }

        return least < long.MaxValue ? best : throw new CudaException($"no layout of {form} fits {sharedBytes} bytes of shared memory");
    }

    /// <summary>The layout that <see cref="Launch"/> takes on a device.</summary>
    public static SkinnyLayout LayoutOn(CudaContext cuda, in SkinnyForm form)
    {
        var copy = form;
        var room = Room(cuda.Device);
        return Choose(form, room, size => size == 1 ? cuda.Device.Multiprocessors
            : cuda.Device.IsHopper ? cuda.Kernel(Configure(copy, size, grouped: false, room)).MostClusters(size, Threads, room) : 0);
    }

    /// <summary>Multiplies the rows of x.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The product; <see cref="Supports"/> says which are done.</param>
    /// <param name="x">Operands.</param>
    /// <param name="overlap">Whether weights may be read before the kernel before has ended.</param>
    public static void Launch(CudaContext cuda, in SkinnyForm form, in SkinnyOperands x, bool overlap = true)
    {
        Check(cuda.Device, form, x);
        var (layout, room) = (LayoutOn(cuda, form), Room(cuda.Device));
        cuda.Kernel(Configure(form, layout.Splits, grouped: false, room))
            .Launch(cuda.Stream, (layout.Blocks, 1, 1), Threads, Fill(form, x, layout, 0, 1), layout.SharedBytes, overlap);
    }

    /// <summary>Multiplies the rows of each expert with its own matrix.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The product; Rows: the most that one expert can have.</param>
    /// <param name="x">Operands: rows of the experts one after the other, matrices [experts, N, K].</param>
    /// <param name="ends">int32 [experts] on the device: the row behind the last of each.</param>
    /// <param name="experts">Their number.</param>
    /// <param name="overlap">Whether the kernel may start before the one before has ended.</param>
    public static void LaunchExperts(CudaContext cuda, in SkinnyForm form, in SkinnyOperands x, nint ends, int experts, bool overlap = true)
    {
        Check(cuda.Device, form, x);
        if (!SupportsExperts(cuda.Device, form, experts))
            throw new CudaException($"{form} over {experts} experts is too large for one block, or has more than {MostExperts} experts");
        var stride = StrideOf(form.Inputs);
        var layout = new SkinnyLayout(1, form.Inputs, stride, 0, cuda.Device.Multiprocessors, SumBytes(form.Rows) + form.Rows * stride);
        cuda.Kernel(Configure(form, 1, grouped: true, Room(cuda.Device)))
            .Launch(cuda.Stream, (layout.Blocks, 1, 1), Threads, Fill(form, x, layout, ends, experts), layout.SharedBytes, overlap);
    }

    private static int Room(CudaDevice device) => device.SharedBytesPerBlock - StaticBytes;

    private static bool FitsOneBlock(CudaDevice device, in SkinnyForm form) =>
        SumBytes(form.Rows) + form.Rows * StrideOf(form.Inputs) <= Room(device);

    private static void Check(CudaDevice device, in SkinnyForm form, in SkinnyOperands x)
    {
        if (!Supports(device, form))
            throw new CudaException($"{form} is no product of a few rows that {device.Name} can do: 1 to {MostRows} rows and a multiple of 8 inputs are wanted");
        if (((x.X | x.Weights) & 15) != 0 || x.PitchX % 8 != 0 || x.PitchWeights % 8 != 0)
            throw new ArgumentException($"{form}: x and weights have to lie at multiples of 16 bytes, and so do their rows", nameof(x));
    }

    private static Parameters Fill(in SkinnyForm form, in SkinnyOperands x, in SkinnyLayout layout, nint ends, int experts) => new()
    {
        X = x.X,
        Weights = x.Weights,
        Y = x.Y,
        Residual = x.Residual,
        Bias = x.Bias,
        Ends = ends,
        PitchWeights = x.PitchWeights > 0 ? x.PitchWeights : form.Inputs,
        PitchX = x.PitchX > 0 ? x.PitchX : form.Inputs,
        PitchY = x.PitchY > 0 ? x.PitchY : form.Columns,
        Rows = form.Rows,
        N = form.Outputs,
        K = form.Inputs,
        Experts = experts,
        Slice = layout.Slice,
        Stride = layout.Stride,
        Hold = layout.Hold,
        Limit = form.Limit ?? 0,
    };

    /// <summary>Rows of x 64 bytes off a multiple of 128, so that reads meet no bank twice.</summary>
    private static int StrideOf(int columns) => Ceiling(columns, Round) * Round * 2 + 64;

    private static int SumBytes(int rows) => (2 * Warps * (rows <= 8 ? 8 : 16) * 17 * 4 + 127) & ~127;

    private static int HoldBytes(int rows) => 16 * (rows <= 8 ? 8 : 16) * 4;

    private static int Ceiling(int a, int b) => (a + b - 1) / b;

    private struct Parameters
    {
        public nint X, Weights, Y, Residual, Bias, Ends;
        public long PitchWeights;
        public int PitchX, PitchY, Rows, N, K, Experts, Slice, Stride, Hold;
        public float Limit;
    }
}
