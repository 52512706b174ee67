using System.Globalization;
using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>The named sets of code points: <c>\p{...}</c>, <c>[:...:]</c>, <c>\w</c> and the like, with Oniguruma's meanings.</summary>
internal static class CharacterProperties
{
    private static readonly string[] Categories = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp",
        "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn"];

    private const string LongNameList =
        "letter l, uppercaseletter lu, lowercaseletter ll, titlecaseletter lt, modifierletter lm, otherletter lo, " +
        "mark m, nonspacingmark mn, spacingmark mc, enclosingmark me, number n, decimalnumber nd, letternumber nl, " +
        "othernumber no, separator z, spaceseparator zs, lineseparator zl, paragraphseparator zp, other c, control cc, " +
        "format cf, surrogate cs, privateuse co, unassigned cn, punctuation p, connectorpunctuation pc, " +
        "dashpunctuation pd, openpunctuation ps, closepunctuation pe, initialpunctuation pi, finalpunctuation pf, " +
        "otherpunctuation po, symbol s, mathsymbol sm, currencysymbol sc, modifiersymbol sk, othersymbol so";

    private static readonly Dictionary<string, string> LongNames = LongNameList.Split(", ")
        .Select(pair => pair.Split(' ')).ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    private static readonly string[] PosixNames = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "print", "space",
        "xdigit"];

    /// <summary><c>\w</c> within brackets, and <c>[:word:]</c>: word characters.</summary>
    public static CodePointSet BracketWord { get; } = new(CharacterClass.IsWord);

    /// <summary><c>\w</c> outside brackets, and <c>\p{Word}</c>: word characters, and the superscript digits and fractions of
    /// Latin-1.</summary>
    public static CodePointSet Word { get; } = new(rune => CharacterClass.IsWord(rune)
        || rune.Value is 0xB2 or 0xB3 or 0xB9 or (>= 0xBC and <= 0xBE));

    /// <summary><c>\s</c></summary>
    public static CodePointSet Space { get; } = new(CharacterClass.IsWhitespace);

    /// <summary><c>\d</c></summary>
    public static CodePointSet Digit { get; } = new(rune => Rune.GetUnicodeCategory(rune) == UnicodeCategory.DecimalDigitNumber);

    /// <summary><c>\h</c>: hexadecimal digits.</summary>
    public static CodePointSet HexDigit { get; } = new(rune => rune.IsAscii && char.IsAsciiHexDigit((char)rune.Value));

    /// <summary>The set of a name as in <c>\p{name}</c>, or null where it is not known. Case, spaces, <c>-</c> and <c>_</c> do
    /// not count.</summary>
    public static CodePointSet? Find(string name)
    {
        var key = Simplify(name);
        if (LongNames.TryGetValue(key, out var shortName))
            key = shortName;
        if (key.Length is 1 or 2 && CategoryMask(key) is not 0 and var mask)
            return new CodePointSet(rune => (CharacterClass.Bit(rune) & mask) != 0);
        return key switch
        {
            "any" => CodePointSet.All,
            "ascii" => new CodePointSet(rune => rune.IsAscii),
            "assigned" => Find("Cn")!.Negated(),
            "alpha" or "alphabetic" => new CodePointSet(CharacterClass.IsAlphabetic),
            "alnum" => new CodePointSet(rune => CharacterClass.IsAlphabetic(rune) || Digit.Contains(rune)),
            "digit" => Digit,
            "xdigit" => HexDigit,
            "word" => Word,
            "space" or "whitespace" => Space,
            "blank" => new CodePointSet(rune => rune.Value == '\t' || Rune.GetUnicodeCategory(rune) == UnicodeCategory.SpaceSeparator),
            "cntrl" => Find("Cc"),
            "punct" => Find("P"),
            "lc" => new CodePointSet(rune => Rune.IsUpper(rune) || Rune.IsLower(rune)
                || Rune.GetUnicodeCategory(rune) == UnicodeCategory.TitlecaseLetter),
            "graph" => new CodePointSet(rune => !Rune.IsWhiteSpace(rune) && IsVisible(rune)),
            "print" => new CodePointSet(rune => rune.Value is not (0x2028 or 0x2029) && IsVisible(rune)),
            _ => Script(key),
        };
    }

    /// <summary>The set of a POSIX name as in <c>[:name:]</c>, or null where it is not known.</summary>
    public static CodePointSet? FindPosix(string name) => Simplify(name) switch
    {
        "punct" => new CodePointSet(rune => Rune.IsPunctuation(rune) || Rune.IsSymbol(rune)),
        "word" => BracketWord,
        var key => PosixNames.Contains(key) ? Find(key) : null,
    };

    private static bool IsVisible(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.OtherNotAssigned);

    private static CodePointSet? Script(string key)
    {
        foreach (var (name, ranges) in UnicodeData.Instance.Scripts)
            if (Simplify(name) == key)
                return key == "han" ? new CodePointSet(r => ranges.Contains(r.Value) || r.Value is >= 0x2EBF0 and <= 0x2EE5D)
                    : new CodePointSet(rune => ranges.Contains(rune.Value));
        return null;
    }

    private static string Simplify(string name) =>
        string.Concat(name.Where(c => c is not (' ' or '-' or '_'))).ToLowerInvariant();

    private static uint CategoryMask(string key)
    {
        var mask = 0u;
        for (var i = 0; i < Categories.Length; i++)
            if (Categories[i].StartsWith(key, StringComparison.OrdinalIgnoreCase))
                mask |= 1u << i;
        return mask;
    }
}
