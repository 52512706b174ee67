using System.Globalization;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>One variant of a kernel: everything but the architecture that decides what is compiled, and how it is launched.</summary>
/// <param name="Source">Name of the embedded file without <c>.cu</c>.</param>
/// <param name="Entry">Name of the <c>extern "C"</c> function.</param>
/// <param name="Defines">Macros, as <c>-D</c>.</param>
public sealed record KernelSpec(string Source, string Entry, IReadOnlyList<(string Name, int Value)> Defines)
{
    /// <summary>Shapes of wgmma wrappers that the source includes.</summary>
    public IReadOnlyList<WgmmaShape> Wgmma { get; init; } = [];

    /// <summary>Dynamic shared memory of a block, in bytes.</summary>
    public int SharedBytes { get; init; }

    /// <summary>Whether it uses instructions of Hopper only.</summary>
    public bool NeedsHopper { get; init; }

    /// <summary>Whether registers may be spilled to local memory: true for kernels in which that costs nothing that matters.</summary>
    public bool AllowSpills { get; init; }

    /// <summary>What tells it from other variants.</summary>
    public string Key => $"{Source}/{Entry}({string.Join(",", Defines.Select(define => $"{define.Name}={define.Value.ToString(CultureInfo.InvariantCulture)}"))})+{SharedBytes}";

    /// <summary>The compiler's options for an architecture.</summary>
    public IReadOnlyList<string> Options(string architecture) =>
    [
        $"--gpu-architecture={architecture}", "--std=c++17", "--ptxas-options=-v",
        .. Defines.Select(define => $"-D{define.Name}={define.Value.ToString(CultureInfo.InvariantCulture)}"),
    ];
}

/// <summary>A warpgroup product of 64 x N x 16 in bf16 with float32 sums.</summary>
/// <param name="N">Columns: a multiple of 8, 256 at most.</param>
/// <param name="FromRegisters">Whether A comes from registers instead of shared memory.</param>
/// <param name="TransposeB">Whether B is stored with its columns contiguous.</param>
public readonly record struct WgmmaShape(int N, bool FromRegisters, bool TransposeB)
{
    /// <summary>The wrapper's name: <c>wgmma_ss_n128</c>, <c>wgmma_rs_tb_n64</c>.</summary>
    public string Name => $"wgmma_{(FromRegisters ? "rs" : "ss")}{(TransposeB ? "_tb" : "")}_n{N}";
}
