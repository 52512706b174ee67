using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary>Changes text before it is cut into words.</summary>
internal abstract class Normalizer
{
    /// <summary>The normalized text.</summary>
    public abstract NormalizedText Apply(NormalizedText input);
}

/// <summary><c>Sequence</c>: one after the other.</summary>
internal sealed class SequenceNormalizer(IReadOnlyList<Normalizer> parts) : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) => parts.Aggregate(input, (text, part) => part.Apply(text));
}

/// <summary><c>NFC</c>, <c>NFD</c>, <c>NFKC</c>, <c>NFKD</c>: the normalization forms of Unicode 9.</summary>
internal sealed class FormNormalizer(bool compose, bool compatibility) : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input)
    {
        var text = Convert(input.Text);
        return ReferenceEquals(text, input.Text)
            ? input
            : new NormalizedText(text, Math.Min(Convert(input.Text[..input.Origin]).Length, text.Length));
    }

    private string Convert(string text) =>
        compose ? Normalization.Compose(text, compatibility) : Normalization.Decompose(text, compatibility);
}

/// <summary><c>Lowercase</c>: every code point to its lower case, without regard to its neighbours or a language.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) => Ascii.IsValid(input.Text)
        ? input with { Text = input.Text.ToLowerInvariant() }
        : input.Map(static (output, rune) => Append(output, rune));

    // U+0130 is the one code point whose full lower case has two; the letters of Unicode 17 are not yet in the runtime's data.
    private static void Append(StringBuilder output, Rune rune) => _ = rune.Value switch
    {
        0x130 => output.Append("i\u0307"),
        0xA7CE or 0xA7D2 or 0xA7D4 => output.Append((char)(rune.Value + 1)),
        >= 0x16EA0 and <= 0x16EB8 => output.Append(new Rune(rune.Value + 0x1B)),
        _ => output.Append(Rune.ToLowerInvariant(rune)),
    };
}

/// <summary><c>Strip</c>: removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input)
    {
        var span = input.Text.AsSpan();
        var start = left ? span.Length - span.TrimStart().Length : 0;
        var end = right ? Math.Max(start, span.TrimEnd().Length) : span.Length;
        return input.Slice(start, end);
    }
}

/// <summary><c>StripAccents</c>: removes all combining marks; decomposes nothing.</summary>
internal sealed class StripAccentsNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) => input.Map(static (output, rune) =>
    {
        if (!CharacterClass.IsMark(rune))
            output.Append(rune);
    });
}

/// <summary><c>Prepend</c>: puts text before any text that is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) => input.Text.Length == 0
        ? input
        : new NormalizedText(prefix + input.Text, input.Origin == 0 ? 0 : input.Origin + prefix.Length);
}

/// <summary><c>Nmt</c>: drops control characters and turns odd white space into spaces.</summary>
internal sealed class NmtNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input) => input.Map(static (output, rune) =>
    {
        switch (rune.Value)
        {
            case (>= 1 and <= 8) or 0xB or (>= 0xE and <= 0x1F) or 0x7F or 0x8F or 0x9F:
                break;
            case 9 or 0xA or 0xC or 0xD or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD:
                output.Append(' ');
                break;
            default:
                output.Append(rune);
                break;
        }
    });
}
