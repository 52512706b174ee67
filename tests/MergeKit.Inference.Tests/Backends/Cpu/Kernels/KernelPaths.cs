using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>The paths this machine can run; the portable one is always among them.</summary>
public static class KernelPaths
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<InstructionPath> Supported { get; } = [.. Enum.GetValues<InstructionPath>(
        ).Where(InstructionPaths.IsSupported)];

    /// <summary>For theories.</summary>
    public static TheoryData<InstructionPath> Data { get; } = [.. Supported];
}
