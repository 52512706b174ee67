using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Numerics;

/// <summary>The element types of the safetensors format.</summary>
public enum DType
{
    /// <summary>One byte, 0 or 1.</summary>
    Bool,

    /// <summary>Unsigned 8-bit integer.</summary>
    U8,

    /// <summary>Signed 8-bit integer.</summary>
    I8,

    /// <summary>8-bit float, 5 exponent and 2 mantissa bits, with infinities (OCP FP8 E5M2).</summary>
    F8E5M2,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits, no infinities, largest 448 (OCP FP8 E4M3, "fn").</summary>
    F8E4M3,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>bfloat16: the upper half of a binary32.</summary>
    BF16,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>IEEE 754 binary64.</summary>
    F64,
}

/// <summary>Sizes and names of the element types.</summary>
public static class DTypes
{
    private static readonly (DType Type, string Safetensors, string Torch, int Size)[] Table =
    [
        (DType.Bool, "BOOL", "bool", 1), (DType.U8, "U8", "uint8", 1), (DType.I8, "I8", "int8", 1),
        (DType.F8E5M2, "F8_E5M2", "float8_e5m2", 1), (DType.F8E4M3, "F8_E4M3", "float8_e4m3fn", 1),
        (DType.U16, "U16", "uint16", 2), (DType.I16, "I16", "int16", 2), (DType.F16, "F16", "float16", 2), (DType.BF16, "BF16", "bfloat16", 2),
        (DType.U32, "U32", "uint32", 4), (DType.I32, "I32", "int32", 4), (DType.F32, "F32", "float32", 4),
        (DType.U64, "U64", "uint64", 8), (DType.I64, "I64", "int64", 8), (DType.F64, "F64", "float64", 8),
    ];

    /// <summary>Bytes of one element.</summary>
    public static int Size(this DType type) => Table[(int)type].Size;

    /// <summary>The name in a safetensors header: <c>BF16</c>.</summary>
    public static string SafetensorsName(this DType type) => Table[(int)type].Safetensors;

    /// <summary>The name in a config.json or recipe: <c>bfloat16</c>.</summary>
    public static string TorchName(this DType type) => Table[(int)type].Torch;

    /// <summary>Whether the type is a floating-point one.</summary>
    public static bool IsFloat(this DType type) =>
        type is DType.F64 or DType.F32 or DType.F16 or DType.BF16 or DType.F8E4M3 or DType.F8E5M2;

    /// <summary>Looks up a safetensors name.</summary>
    public static bool TryFromSafetensors(string name, out DType type) => TryFind(name, row => row.Safetensors, out type);

    /// <summary>Looks up a torch name, with or without the <c>torch.</c> prefix.</summary>
    public static bool TryFromTorch(string name, out DType type)
    {
        name = name.StartsWith("torch.", StringComparison.Ordinal) ? name["torch.".Length..] : name;
        name = name switch { "half" => "float16", "float" => "float32", "double" => "float64", "float8_e4m3" => "float8_e4m3fn", _ => name };
        return TryFind(name, row => row.Torch, out type);
    }

    /// <summary>Looks up a torch name or fails, naming the known ones.</summary>
    /// <exception cref="InputException">The name is none of the format's types.</exception>
    public static DType FromTorch(string name) => TryFromTorch(name, out var type)
        ? type
        : throw new InputException($"unknown dtype '{name}'; known: {string.Join(", ", TorchNames)}");

    /// <summary>All torch names, for messages and schemas.</summary>
    public static IEnumerable<string> TorchNames => Table.Select(row => row.Torch);

    private static bool TryFind(string name, Func<(DType Type, string Safetensors, string Torch, int Size), string> column, out DType type)
    {
        foreach (var row in Table)
        {
            if (column(row) != name)
                continue;
            type = row.Type;
            return true;
        }

        type = default;
        return false;
    }
}
