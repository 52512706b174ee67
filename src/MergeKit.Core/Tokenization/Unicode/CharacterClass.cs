using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Unicode;

/// <summary>Yes-or-no properties of code points as the components of a tokenizer file understand them.</summary>
internal static class CharacterClass
{
    private const uint Letters = 1u << (int)UnicodeCategory.UppercaseLetter | 1u << (int)UnicodeCategory.LowercaseLetter
        | 1u << (int)UnicodeCategory.TitlecaseLetter | 1u << (int)UnicodeCategory.ModifierLetter | 1u << (int)UnicodeCategory.OtherLetter;

    private const uint Marks = 1u << (int)UnicodeCategory.NonSpacingMark | 1u << (int)UnicodeCategory.SpacingCombiningMark
        | 1u << (int)UnicodeCategory.EnclosingMark;

    private const uint WordCategories = Letters | Marks | 1u << (int)UnicodeCategory.DecimalDigitNumber
        | 1u << (int)UnicodeCategory.LetterNumber | 1u << (int)UnicodeCategory.ConnectorPunctuation;

    private const uint Numbers = 1u << (int)UnicodeCategory.DecimalDigitNumber | 1u << (int)UnicodeCategory.LetterNumber
        | 1u << (int)UnicodeCategory.OtherNumber;

    private const uint Punctuations = 1u << (int)UnicodeCategory.ConnectorPunctuation | 1u << (int)UnicodeCategory.DashPunctuation
        | 1u << (int)UnicodeCategory.OpenPunctuation | 1u << (int)UnicodeCategory.ClosePunctuation
        | 1u << (int)UnicodeCategory.InitialQuotePunctuation | 1u << (int)UnicodeCategory.FinalQuotePunctuation
        | 1u << (int)UnicodeCategory.OtherPunctuation;

    /// <summary>The category's bit in a mask.</summary>
    public static uint Bit(Rune rune) => 1u << (int)Rune.GetUnicodeCategory(rune);

    /// <summary>White_Space of Unicode.</summary>
    public static bool IsWhitespace(Rune rune) => Rune.IsWhiteSpace(rune);

    /// <summary>General category L.</summary>
    public static bool IsLetter(Rune rune) => (Bit(rune) & Letters) != 0;

    /// <summary>General category N; with the digits that Unicode 17 added, as the library counts them for Digits.</summary>
    public static bool IsNumeric(Rune rune) => (Bit(rune) & Numbers) != 0
        || rune.Value is (>= 0x11DE0 and <= 0x11DE9) or (>= 0x16FF4 and <= 0x16FF6);

    /// <summary>A word character: alphabetic, mark, decimal digit, connector punctuation (UTS 18 without join controls).</summary>
    public static bool IsWord(Rune rune) => (Bit(rune) & WordCategories) != 0 || IsAlphabeticSymbol(rune);

    /// <summary><see cref="IsWord"/> or a join control: what bounds <c>single_word</c> tokens, and Whitespace's words.</summary>
    public static bool IsWordOrJoiner(Rune rune) => IsWord(rune) || rune.Value is 0x200C or 0x200D;

    /// <summary>Alphabetic of Unicode.</summary>
    public static bool IsAlphabetic(Rune rune) =>
        (Bit(rune) & (Letters | 1u << (int)UnicodeCategory.LetterNumber)) != 0 || IsAlphabeticSymbol(rune)
        || ((Bit(rune) & Marks) != 0 && UnicodeData.Instance.AlphabeticMarks.Contains(rune.Value));

    /// <summary>ASCII punctuation and symbols, or general category P in Unicode 8.</summary>
    public static bool IsPunctuation(Rune rune)
    {
        if (rune.IsAscii)
            return rune.Value > ' ' && rune.Value != 0x7F && !Rune.IsLetterOrDigit(rune);
        return rune.Value is 0x111C9 or 0x166D || ((Bit(rune) & Punctuations) != 0
            && UnicodeData.Instance.AssignedIn8.Contains(rune.Value));
    }

    /// <summary>General category M in Unicode 9.</summary>
    public static bool IsMark(Rune rune) => rune.Value is >= 0x300 and not 0x111C9
        && (((Bit(rune) & Marks) != 0 && UnicodeData.Instance.AssignedIn9.Contains(rune.Value)) || rune.Value is 0x1CF2 or 0x1CF3);

    /// <summary>General category Mn in Unicode 8.</summary>
    public static bool IsNonspacingMark(Rune rune) => rune.Value is >= 0x300 and not 0x111C9
        && ((Rune.GetUnicodeCategory(rune) == UnicodeCategory.NonSpacingMark && UnicodeData.Instance.AssignedIn8.Contains(rune.Value))
            || rune.Value is 0x1734 or 0x1171E);

    /// <summary>A control, format or private-use character in Unicode 8, except tab, line feed and carriage return.</summary>
    public static bool IsControl(Rune rune) => rune.Value is not ('\t' or '\n' or '\r') && Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.Control or UnicodeCategory.PrivateUse => true,
        UnicodeCategory.Format => UnicodeData.Instance.AssignedIn8.Contains(rune.Value),
        _ => false,
    };

    /// <summary>A Chinese character in the sense of BERT: the CJK ideograph blocks, with the hole that BERT's own list has.</summary>
    public static bool IsChinese(Rune rune) => rune.Value is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    private static bool IsAlphabeticSymbol(Rune rune) => rune.Value is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149)
        or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189);
}
