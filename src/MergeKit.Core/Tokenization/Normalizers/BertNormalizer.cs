using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary><c>BertNormalizer</c> (Devlin et al. 2019): drops control characters, sets spaces around Chinese characters,
/// drops accents and lower-cases, each where asked for, in this order.</summary>
internal sealed class BertNormalizer(bool cleanText, bool handleChinese, bool stripAccents, bool lowercase) : Normalizer
{
    private static readonly FormNormalizer Decompose = new(compose: false, compatibility: false);
    private static readonly LowercaseNormalizer Lower = new();

    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input)
    {
        var text = input;
        if (cleanText)
            text = text.Map(Clean);
        if (handleChinese && !Ascii.IsValid(text.Text))
            text = text.Map(PadChinese);
        if (stripAccents && !Ascii.IsValid(text.Text))
            text = Decompose.Apply(text).Map(DropMarks);
        return lowercase ? Lower.Apply(text) : text;
    }

    private static void Clean(StringBuilder output, Rune rune)
    {
        if (rune.Value is 0 or 0xFFFD || CharacterClass.IsControl(rune))
            return;
        if (CharacterClass.IsWhitespace(rune))
            output.Append(' ');
        else
            output.Append(rune);
    }

    private static void PadChinese(StringBuilder output, Rune rune)
    {
        if (CharacterClass.IsChinese(rune))
            output.Append(' ').Append(rune).Append(' ');
        else
            output.Append(rune);
    }

    private static void DropMarks(StringBuilder output, Rune rune)
    {
        if (!CharacterClass.IsNonspacingMark(rune))
            output.Append(rune);
    }
}
