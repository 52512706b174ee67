using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>The vector width a kernel is compiled for. All paths give the same results up to rounding.</summary>
public enum InstructionPath
{
    /// <summary>128-bit vectors: Arm64 AdvSimd, SSE, WebAssembly, or software where there are none.</summary>
    Vector128,

    /// <summary>256-bit vectors with AVX2 and FMA.</summary>
    Avx2,

    /// <summary>512-bit vectors with AVX-512 F, BW and DQ.</summary>
    Avx512,
}

/// <summary>Which paths this processor and runtime offer.</summary>
public static class InstructionPaths
{
    /// <summary>The widest supported path: what the kernels use.</summary>
    public static InstructionPath Best =>
        IsSupported(InstructionPath.Avx512) ? InstructionPath.Avx512
        : IsSupported(InstructionPath.Avx2) ? InstructionPath.Avx2
        : InstructionPath.Vector128;

    /// <summary>Whether a path may run here. <c>DOTNET_EnableAVX512=0</c> (or <c>DOTNET_EnableAVX2=0</c>) narrows it from outside.</summary>
    public static bool IsSupported(InstructionPath path) => path switch
    {
        InstructionPath.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Vector512<float>.IsSupported,
        InstructionPath.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        _ => true,
    };
}
