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
/// <param name="Scratch"><see cref="SkinnyProduct.ScratchBytes"/> for products of one stream, where a form needs any; the first <see cref="SkinnyProduct.CounterBytes"/> are zeros and are left so.</param>
/// <param name="PitchX">Elements from a row of x to the next; 0 for dense rows.</param>
/// <param name="PitchWeights">Likewise of the weights.</param>
/// <param name="PitchY">Likewise of y and the residual.</param>
internal readonly record struct SkinnyOperands(nint X, nint Weights, nint Y, nint Bias = 0, nint Residual = 0, nint Scratch = 0, int PitchX = 0, long PitchWeights = 0, int PitchY = 0);

/// <summary>How a product is laid out on a device.</summary>
/// <param name="Splits">Blocks that share K.</param>
/// <param name="Slice">Columns of W for each of them.</param>
/// <param name="Stride">Bytes of a row of x in shared memory.</param>
/// <param name="Blocks">Blocks in all.</param>
/// <param name="SharedBytes">Dynamic shared memory.</param>
internal readonly record struct SkinnyLayout(int Splits, int Slice, int Stride, int Blocks, int SharedBytes);

/// <summary>Matrix products of 1 to 16 rows in bf16, bound by the reading of the weights.</summary>
internal static class SkinnyProduct
{
    /// <summary>The most rows.</summary>
    public const int MostRows = 16;

    /// <summary>The most experts of a grouped product.</summary>
    public const int MostExperts = 512;

    /// <summary>Bytes of scratch that have to be zeros before the first product.</summary>
    public const int CounterBytes = 1024;

    private const int Warps = 16, Threads = 32 * Warps, Steps = 4, MostSplits = 8;

    /// <summary>Shared memory that the kernel has besides the dynamic part.</summary>
    private const int StaticBytes = 4096;

    /// <summary>What it costs to add the parts of K at the end, in columns of a tile that could be read meanwhile; and for each part more.</summary>
    private const int MergeCost = 2000, PartCost = 100;

    /// <summary>More memory than any H100 has.</summary>
    private const long H100Bytes = 100L << 30;

    /// <summary>Rows of x that are staged in the time of one of W.</summary>
    private const int StageShare = 90;

    /// <summary>Whether a product can be done on a device; where not, cuBLASLt does it.</summary>
    public static bool Supports(CudaDevice device, in SkinnyForm form) =>
        form is { Rows: >= 1 and <= MostRows, Outputs: > 0, Inputs: > 0 } && form.Inputs % 8 == 0 && (form.Gate == GateKind.None || form.Outputs % 2 == 0)
        && (device.IsHopper || form.Rows <= 8);

    /// <summary>
    /// Whether it was measured to be at least as fast as cuBLAS: up to 8 rows; up to 16 where x fits one block, but not on an H200, whose
    /// memory outruns the kernel's arithmetic there.
    /// </summary>
    public static bool IsFaster(CudaDevice device, in SkinnyForm form) =>
        Supports(device, form) && (form.Rows <= 8 || (device.TotalBytes < H100Bytes && Choose(form, device).Splits == 1));

    /// <summary>Whether a product over experts can be done: x of an expert has to fit one block.</summary>
    public static bool SupportsExperts(CudaDevice device, in SkinnyForm form, int experts) =>
        Supports(device, form) && experts <= MostExperts && FitsOneBlock(device, form);

    /// <summary>The variant for a form.</summary>
    public static KernelSpec Configure(in SkinnyForm form, bool grouped, int sharedBytes)
    {
        var gated = form.Gate != GateKind.None;
        return new KernelSpec("SkinnyProduct", "skinny_product",
        [
            ("NT", form.Rows <= 8 ? 1 : 2), ("WARPS", Warps), ("U", grouped && form.Rows > 8 ? Steps - 1 : Steps), ("GROUPED", grouped ? 1 : 0),
            ("OUT_BF16", form.Output.Bf16Flag()), ("GATE", (int)form.Gate), ("ACTIVATION", gated && form.Limit is null ? (int)form.Activation : gated ? (int)Activation.QuickGelu : 0),
            ("CLAMPED", form.Limit is null ? 0 : 1),
        ])
        { SharedBytes = sharedBytes, NeedsHopper = form.Rows > 8 };
    }

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        foreach (var rows in new[] { 1, 16 })
            foreach (var grouped in new[] { false, true })
            {
                var gated = new SkinnyForm(rows, 64, 64, CudaType.BFloat16, GateKind.Interleaved);
                yield return Configure(new SkinnyForm(rows, 64, 64, CudaType.BFloat16), grouped, 1 << 16);
                yield return Configure(new SkinnyForm(rows, 64, 64, CudaType.Float32), grouped, 1 << 16);
                yield return Configure(gated, grouped, 1 << 16);
                yield return Configure(gated with { Gate = GateKind.Halves }, grouped, 1 << 16);
                yield return Configure(gated with { Activation = Activation.GeluTanh }, grouped, 1 << 16);
                yield return Configure(gated with { Limit = 7 }, grouped, 1 << 16);
            }
    }

    /// <summary>The layout that has least to read one after the other.</summary>
    /// <param name="form">The product.</param>
    /// <param name="sharedBytes">Shared memory of a block.</param>
    /// <param name="multiprocessors">Blocks that run at once.</param>
    public static SkinnyLayout Choose(in SkinnyForm form, int sharedBytes, int multiprocessors)
    {
        var (best, least) = (default(SkinnyLayout), long.MaxValue);
        var tiles = TilesOf(form);
        for (var splits = 1; splits <= MostSplits; splits++)
        {
            var slice = splits == 1 ? form.Inputs : Ceiling(form.Inputs, 32 * splits) * 32;
            var used = SumBytes(form.Rows) + form.Rows * StrideOf(slice);
            if (used > sharedBytes)
                continue;
            var groups = Math.Min(multiprocessors / splits, tiles);
            var cost = (long)Ceiling(tiles, groups) * slice + (long)form.Rows * slice / StageShare + (splits > 1 ? MergeCost + PartCost * splits : 0);
            if (cost < least)
                (best, least) = (new SkinnyLayout(splits, slice, StrideOf(slice), groups * splits, used), cost);
        }

        return least < long.MaxValue ? best : throw new CudaException($"no layout of {form} fits {sharedBytes} bytes of shared memory");
    }

    /// <summary>The layout on a device.</summary>
    public static SkinnyLayout Choose(in SkinnyForm form, CudaDevice device) => Choose(form, Room(device), device.Multiprocessors);

    /// <summary>Bytes of scratch that a product needs; the same scratch serves products one after the other.</summary>
    public static long ScratchBytes(in SkinnyForm form, CudaDevice device)
    {
        var splits = Choose(form, device).Splits;
        return splits == 1 ? 0 : CounterBytes + 64L * splits * TilesOf(form) * SumRows(form.Rows);
    }

    /// <summary>Multiplies the rows of x.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="form">The product; <see cref="Supports"/> says which are done.</param>
    /// <param name="x">Operands.</param>
    /// <param name="overlap">Whether weights may be read before the kernel before has ended.</param>
    public static void Launch(CudaContext cuda, in SkinnyForm form, in SkinnyOperands x, bool overlap = true)
    {
        Check(cuda.Device, form, x);
        var layout = Choose(form, cuda.Device);
        if (layout.Splits > 1 && x.Scratch == 0)
            throw new ArgumentException($"{form}: {ScratchBytes(form, cuda.Device)} bytes of scratch are needed", nameof(x));
        cuda.Kernel(Configure(form, grouped: false, Room(cuda.Device)))
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
        var layout = new SkinnyLayout(1, form.Inputs, stride, cuda.Device.Multiprocessors, SumBytes(form.Rows) + form.Rows * stride);
        cuda.Kernel(Configure(form, grouped: true, Room(cuda.Device)))
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
        Partials = x.Scratch + CounterBytes,
        Counters = x.Scratch,
        PitchWeights = x.PitchWeights > 0 ? x.PitchWeights : form.Inputs,
        PitchX = x.PitchX > 0 ? x.PitchX : form.Inputs,
        PitchY = x.PitchY > 0 ? x.PitchY : form.Columns,
        Rows = form.Rows,
        N = form.Outputs,
        K = form.Inputs,
        Experts = experts,
        Splits = layout.Splits,
        Slice = layout.Slice,
        Stride = layout.Stride,
        Limit = form.Limit ?? 0,
    };

    /// <summary>Rows of x 64 bytes off a multiple of 128, so that reads meet no bank twice.</summary>
    private static int StrideOf(int columns) => Ceiling(2 * columns - 64, 128) * 128 + 64;

    private static int SumRows(int rows) => rows <= 8 ? 8 : 16;

    private static int SumBytes(int rows) => (2 * Warps * SumRows(rows) * 17 * 4 + 127) & ~127;

    private static int TilesOf(in SkinnyForm form) => Ceiling(form.Columns, form.Gate == GateKind.None ? 16 : 8);

    private static int Ceiling(int a, int b) => (a + b - 1) / b;

    private struct Parameters
    {
        public nint X, Weights, Y, Residual, Bias, Ends, Partials, Counters;
        public long PitchWeights;
        public int PitchX, PitchY, Rows, N, K, Experts, Splits, Slice, Stride;
        public float Limit;
    }
}
