using System.Text;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Reproducible random texts, rich in what tokenizers trip over.</summary>
internal sealed class TestText(ulong seed)
{
    private static readonly string[] Parts =
    [
        " ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u3000", "\u2028", "\u0085", "a", "the", "The", "ING", "word", "s", "'s", "'S",
            "'ll", "'Re", "'\u017F", "n't",
        "'", "\"", "!", "...", "-", "_", "<", ">", "(", "1", "23", "456", "7890", "\u00BD", "\u0664", "\u2167", "\u00E9", "e\u0301", "\u0301", "\u00DF", "\u0130",
        "\u212A", "\u65E5\u672C", "\u3072", "\u30AB", "\u30FC", "\uAC00", "\u0628", "\u05D0", "\u0939\u093F", "\U0001F600",
            "\U0001F468\u200D\U0001F469",
        "\U00020000", "\U0001D400", "\U0001D7D8", "\u200B", "\uFEFF", "\uFFFD", "\0", "\u2581", "$", "^", "\u20AC",
    ];

    private ulong _state = seed * 2 + 1;

    /// <summary>A number from 0 to below <paramref name="limit"/>.</summary>
    public int Below(int limit)
    {
        _state = _state * 6364136223846793005UL + 1442695040888963407UL;
        return (int)((_state >> 33) % (ulong)limit);
    }

    /// <summary>A text of up to so many parts; now and then any code point at all.</summary>
    public string Next(int most = 24)
    {
        var text = new StringBuilder();
        for (var count = Below(most + 1); count > 0; count--)
        {
            if (Below(12) == 0 && Below(0x110000) is var code && Rune.IsValid(code))
                text.Append(new Rune(code));
            else
                text.Append(Parts[Below(Parts.Length)]);
        }

        return text.ToString();
    }
}
