namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Element types of GGUF files that can be read; the numbers are the format's.</summary>
internal enum GgufType : uint
{
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    BF16 = 30,
    MXFP4 = 39,
}

/// <summary>Sizes of the element types.</summary>
internal static class GgufTypes
{
    /// <summary>Elements and bytes of a block; null for types that are not read.</summary>
    public static (int Elements, int Bytes)? Block(this GgufType type) => type switch
    {
        GgufType.F32 or GgufType.I32 => (1, 4),
        GgufType.F16 or GgufType.BF16 or GgufType.I16 => (1, 2),
        GgufType.I8 => (1, 1),
        GgufType.I64 or GgufType.F64 => (1, 8),
        GgufType.Q4_0 => (32, 18),
        GgufType.Q4_1 => (32, 20),
        GgufType.Q5_0 => (32, 22),
        GgufType.Q5_1 => (32, 24),
        GgufType.Q8_0 => (32, 34),
        GgufType.MXFP4 => (32, 17),
        GgufType.Q4_K => (256, 144),
        GgufType.Q5_K => (256, 176),
        GgufType.Q6_K => (256, 210),
        _ => null,
    };

    /// <summary>The safetensors type of plain elements; null for quantised ones.</summary>
    public static Numerics.DType? Plain(this GgufType type) => type switch
    {
        GgufType.F32 => Numerics.DType.F32,
        GgufType.F16 => Numerics.DType.F16,
        GgufType.BF16 => Numerics.DType.BF16,
        GgufType.F64 => Numerics.DType.F64,
        GgufType.I8 => Numerics.DType.I8,
        GgufType.I16 => Numerics.DType.I16,
        GgufType.I32 => Numerics.DType.I32,
        GgufType.I64 => Numerics.DType.I64,
        _ => null,
    };
}
