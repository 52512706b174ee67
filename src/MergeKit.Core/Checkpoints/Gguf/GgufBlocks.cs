using System.Buffers.Binary;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Decodes single blocks of quantised elements (layouts: ggml, ggml-common.h; d and m are 16-bit floats, q the stored integers).</summary>
internal static class GgufBlocks
{
    /// <summary>Decodes one block.</summary>
    /// <param name="type">A quantised type.</param>
    /// <param name="block">Its bytes.</param>
    /// <param name="y">Receives its elements.</param>
    public static void Decode(GgufType type, ReadOnlySpan<byte> block, Span<float> y)
    {
        switch (type)
        {
            case GgufType.Q4_0: Nibbles(block[2..18], default, Half(block, 0), 0, 8, y); break;
            case GgufType.Q4_1: Nibbles(block[4..20], default, Half(block, 0), Half(block, 2), 0, y); break;
            case GgufType.Q5_0: Nibbles(block[6..22], block[2..6], Half(block, 0), 0, 16, y); break;
            case GgufType.Q5_1: Nibbles(block[8..24], block[4..8], Half(block, 0), Half(block, 2), 0, y); break;
            case GgufType.Q8_0: Bytes(block, y); break;
            case GgufType.MXFP4: Microscaled(block, y); break;
            case GgufType.Q4_K: Mixed(block, default, block[16..144], y); break;
            case GgufType.Q5_K: Mixed(block, block[16..48], block[48..176], y); break;
            case GgufType.Q6_K: SixBit(block, y); break;
            default: throw new InputException($"GGUF type {type} has no blocks");
        }
    }

    /// <summary>32 4-bit floats (E2M1) times a power of two, whose exponent comes first.</summary>
    private static void Microscaled(ReadOnlySpan<byte> block, Span<float> y)
    {
        var scale = Stored.Mxfp4Content.PowerOfTwo(block[0]);
        for (var j = 0; j < 16; j++)
            (y[j], y[j + 16]) = (Stored.Mxfp4Content.Value(block[j + 1] & 15) * scale, Stored.Mxfp4Content.Value(block[j + 1] >> 4) * scale);
    }

    /// <summary>32 elements d (q - zero) + m; the low halves are the first 16, the fifth bits (if any) stand in a word of their own.</summary>
    private static void Nibbles(ReadOnlySpan<byte> q, ReadOnlySpan<byte> fifth, float d, float m, int zero, Span<float> y)
    {
        var high = fifth.IsEmpty ? 0u : BinaryPrimitives.ReadUInt32LittleEndian(fifth);
        for (var j = 0; j < 16; j++)
        {
            var low = (q[j] & 15) | (int)((high >> j) & 1) << 4;
            var second = (q[j] >> 4) | (int)((high >> (j + 16)) & 1) << 4;
            y[j] = d * (low - zero) + m;
            y[j + 16] = d * (second - zero) + m;
        }
    }

    /// <summary>32 elements d q with signed bytes q.</summary>
    private static void Bytes(ReadOnlySpan<byte> block, Span<float> y)
    {
        var d = Half(block, 0);
        for (var j = 0; j < 32; j++)
            y[j] = d * (sbyte)block[2 + j];
    }

    /// <summary>256 elements in eight groups: d s q - dmin t with 6-bit s and t per group; q of 4 bits, or 5 with the fifth bits in planes.</summary>
    private static void Mixed(ReadOnlySpan<byte> block, ReadOnlySpan<byte> fifth, ReadOnlySpan<byte> q, Span<float> y)
    {
        var (d, least) = (Half(block, 0), Half(block, 2));
        var scales = block[4..16];
        for (var group = 0; group < 8; group++)
        {
            var (scale, minimum) = ScaleAndMinimum(scales, group);
            var (factor, offset) = (d * scale, least * minimum);
            for (var l = 0; l < 32; l++)
            {
                var pair = q[group / 2 * 32 + l];
                var value = group % 2 == 0 ? pair & 15 : pair >> 4;
                if (!fifth.IsEmpty)
                    value |= ((fifth[l] >> group) & 1) << 4;
                y[group * 32 + l] = factor * value - offset;
            }
        }
    }

    private static (int Scale, int Minimum) ScaleAndMinimum(ReadOnlySpan<byte> packed, int group) => group < 4
        ? (packed[group] & 63, packed[group + 4] & 63)
        : ((packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4, (packed[group + 4] >> 4) | (packed[group] >> 6) << 4);

    /// <summary>256 elements d s (q - 32) with signed 8-bit s per 16 elements; q of 4 low and 2 high bits.</summary>
    private static void SixBit(ReadOnlySpan<byte> block, Span<float> y)
    {
        var d = Half(block, 208);
        var low = block[..128];
        var high = block[128..192];
        var scales = block[192..208];
        for (var half = 0; half < 2; half++)
            for (var quarter = 0; quarter < 4; quarter++)
                for (var l = 0; l < 32; l++)
                {
                    var pair = low[half * 64 + quarter % 2 * 32 + l];
                    var value = (quarter < 2 ? pair & 15 : pair >> 4) | ((high[half * 32 + l] >> (2 * quarter)) & 3) << 4;
                    y[half * 128 + quarter * 32 + l] = d * (sbyte)scales[half * 8 + quarter * 2 + l / 16] * (value - 32);
                }
    }

    private static float Half(ReadOnlySpan<byte> block, int at) => (float)BinaryPrimitives.ReadHalfLittleEndian(block[at..]);
}
