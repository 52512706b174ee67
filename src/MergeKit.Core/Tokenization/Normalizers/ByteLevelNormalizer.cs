namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary><c>ByteLevel</c>: every UTF-8 byte as its printable character.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) =>
        new(ByteAlphabet.Encode(input.Text), ByteAlphabet.Encode(input.Text.AsSpan(0, input.Origin)).Length);
}
