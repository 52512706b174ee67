using System.Buffers.Binary;

namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>4-bit floats (E2M1) in blocks of 32 with a power of two as scale (OCP Microscaling Formats 1.0), as gpt-oss stores its experts: blocks
/// [experts, out, in/32, 16], low half of a byte first, scales [experts, out, in/32] with bias 127. The tensor is [experts, in, out], as the model
/// uses it. Decoding is exact.</summary>
internal sealed class Mxfp4Content(Checkpoint checkpoint, TensorInfo blocks, TensorInfo scales) : ITensorContent
{
    /// <summary>Elements of a block.</summary>
    public const int Block = 32;

    private static readonly float[] Values = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];
    private readonly long _outputs = blocks.Shape[1], _groups = blocks.Shape[2];

    public string Form => "MXFP4";

    public void Read(long start, Span<float> destination)
    {
        var bytes = checkpoint.Elements<byte>(blocks);
        var exponents = checkpoint.Elements<byte>(scales);
        var inputs = _groups * Block;
        for (var done = 0; done < destination.Length;)
        {
            var (line, output) = Math.DivRem(start + done, _outputs);
            var (expert, input) = Math.DivRem(line, inputs);
            var count = (int)Math.Min(_outputs - output, destination.Length - done);
            var (group, half) = (input / Block, (int)(input % 2));
            for (var i = 0; i < count; i++)
            {
                var block = (int)((expert * _outputs + output + i) * _groups + group);
                var pair = bytes[block * (Block / 2) + (int)(input % Block / 2)];
                destination[done + i] = Values[half == 0 ? pair & 15 : pair >> 4] * PowerOfTwo(exponents[block]);
            }

            done += count;
        }
    }

    /// <summary>The float of a 4-bit code.</summary>
    public static float Value(int code) => Values[code];

    /// <summary>2^(e - 127); 255 is NaN.</summary>
    public static float PowerOfTwo(byte exponent) => exponent == 255 ? float.NaN : MathF.ScaleB(1, exponent - 127);
}
