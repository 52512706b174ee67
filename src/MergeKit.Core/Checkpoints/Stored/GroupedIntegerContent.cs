namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>How integers are packed into 32-bit words.</summary>
internal enum IntegerPacking
{
    /// <summary>GPTQ (Frantar et al. 2022): weights [in/n, out], neighbouring inputs in one word, lowest bits first.</summary>
    Gptq,

    /// <summary>AWQ (Lin et al. 2023): weights [in, out/8], eight outputs in one word in the order 0, 2, 4, 6, 1, 3, 5, 7.</summary>
    Awq,
}

/// <summary>The tensors of one packed linear layer.</summary>
internal sealed record PackedLinear(TensorInfo Weights, TensorInfo Zeros, TensorInfo Scales, TensorInfo? Groups);

/// <summary>Integers with a scale and a zero per group of inputs and output: W[o, i] = (q[i, o] - z[g, o]) s[g, o]; the tensor is [out, in]. With
/// 16-bit scales decoding is exact in float32.</summary>
/// <param name="checkpoint">The stored tensors.</param>
/// <param name="parts">The packed layer.</param>
/// <param name="packing">How it is packed.</param>
/// <param name="bits">Bits of an integer: 2, 4 or 8.</param>
/// <param name="groupSize">Inputs that share a scale where no tensor says so.</param>
/// <param name="zeroOffset">What is added to stored zeros, modulo 2^bits.</param>
internal sealed class GroupedIntegerContent(Checkpoint checkpoint, PackedLinear parts, IntegerPacking packing, int bits, int groupSize, int zeroOffset) : ITensorContent
{
    private static readonly int[] AwqPlace = [0, 4, 1, 5, 2, 6, 3, 7];
    private readonly Lazy<float[]> _scales = new(() => checkpoint.ReadAll(parts.Scales));
    private readonly int _outputs = (int)parts.Scales.Shape[1];
    private readonly int _inputs = (int)(packing == IntegerPacking.Gptq ? parts.Weights.Shape[0] * (32 / bits) : parts.Weights.Shape[0]);

    public string Form => packing == IntegerPacking.Gptq ? $"GPTQ int{bits}" : $"AWQ int{bits}";

    public void Read(long start, Span<float> destination)
    {
        var weights = checkpoint.Elements<uint>(parts.Weights);
        var zeros = checkpoint.Elements<uint>(parts.Zeros);
        var scales = _scales.Value;
        var groups = parts.Groups is { } stored ? checkpoint.Elements<int>(stored) : default;
        for (var i = 0; i < destination.Length; i++)
        {
            var (output, input) = ((int)((start + i) / _inputs), (int)((start + i) % _inputs));
            var group = groups.IsEmpty ? input / groupSize : groups[input];
            var zero = (Field(zeros, group * (_outputs * bits / 32), output) + zeroOffset) & ((1 << bits) - 1); // a zero of 0 is stored as -1
            destination[i] = (Weight(weights, input, output) - zero) * scales[group * _outputs + output];
        }
    }

    private int Weight(ReadOnlySpan<uint> weights, int input, int output)
    {
        if (packing == IntegerPacking.Awq)
            return Field(weights, input * (_outputs * bits / 32), output);
        var perWord = 32 / bits;
        return (int)(weights[input / perWord * _outputs + output] >> (input % perWord * bits)) & ((1 << bits) - 1);
    }

    /// <summary>The integer of an output in a row of words.</summary>
    private int Field(ReadOnlySpan<uint> words, int row, int output)
    {
        var perWord = 32 / bits;
        var place = packing == IntegerPacking.Awq ? AwqPlace[output % perWord] : output % perWord;
        return (int)(words[row + output / perWord] >> (place * bits)) & ((1 << bits) - 1);
    }
}
