using System.Text;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Writes the wrappers of wgmma: the instruction lists its accumulators one by one, so each shape has its own text.</summary>
internal static class WgmmaHeader
{
    /// <summary>The name under which sources include it.</summary>
    public const string Name = "wgmma.cuh";

    /// <summary>The header for some shapes; the same text for the same shapes in any order.</summary>
    public static string Write(IEnumerable<WgmmaShape> shapes)
    {
        var text = new StringBuilder("#pragma once\n#include \"common.cuh\"\n");
        foreach (var shape in shapes.Distinct().OrderBy(shape => shape.Name, StringComparer.Ordinal))
            Append(text, shape);
        return text.ToString();
    }

    /// <summary>D[64 x N] (+)= A B: D in N / 2 registers, A by descriptor or in four registers, B by descriptor.</summary>
    private static void Append(StringBuilder text, WgmmaShape shape)
    {
        if (shape.N is < 8 or > 256 || shape.N % 8 != 0)
            throw new ArgumentException($"wgmma has no N of {shape.N}: multiples of 8 up to 256 are wanted", nameof(shape));
        var sums = shape.N / 2;
        var inputs = shape.FromRegisters ? 4 : 1;
        var (a, b, flag) = (Registers(sums, inputs), sums + inputs, sums + inputs + 1);
        var parameters = shape.FromRegisters ? "u32 a0, u32 a1, u32 a2, u32 a3" : "u64 a0";
        var operands = shape.FromRegisters ? "\"r\"(a0), \"r\"(a1), \"r\"(a2), \"r\"(a3)" : "\"l\"(a0)";
        text.Append($"__device__ __forceinline__ void {shape.Name}(float (&d)[{sums}], {parameters}, u64 b, int accumulate) {{\n")
            .Append($"    asm volatile(\"{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{flag}, 0;\\n\"\n")
            .Append($"        \"wgmma.mma_async.sync.aligned.m64n{shape.N}k16.f32.bf16.bf16 {{{Registers(0, sums)}}}, ")
            .Append(shape.FromRegisters ? $"{{{a}}}" : a)
            .Append($", %{b}, p, 1, 1{(shape.FromRegisters ? "" : ", 0")}, {(shape.TransposeB ? 1 : 0)};\\n}}\\n\"\n        : ")
            .AppendJoin(", ", Enumerable.Range(0, sums).Select(i => $"\"+f\"(d[{i}])"))
            .Append($" : {operands}, \"l\"(b), \"r\"(accumulate));\n}}\n");
    }

    private static string Registers(int first, int count) => string.Join(", ", Enumerable.Range(first, count).Select(i => $"%{i}"));
}
