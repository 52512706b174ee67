using System.Text;

namespace MergeKit.Core.Tokenization;

/// <summary>The 256 printable characters that stand for bytes in byte-level vocabularies (Radford et al. 2019): printable
/// Latin-1 bytes stand for themselves, the other 68, rising, for U+0100 and on.</summary>
internal static class ByteAlphabet
{
    private static readonly char[] ToChar = Build();
    private static readonly short[] ToByte = Invert();

    /// <summary>The character of a byte.</summary>
    public static char Char(byte value) => ToChar[value];

    /// <summary>The byte of a character, or -1.</summary>
    public static int Byte(char character) => character < ToByte.Length ? ToByte[character] : -1;

    /// <summary>The UTF-8 bytes of a well-formed text, each as its character.</summary>
    public static string Encode(ReadOnlySpan<char> text)
    {
        var output = new StringBuilder(text.Length + 8);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var rune in text.EnumerateRunes())
        {
            var length = rune.EncodeToUtf8(bytes);
            foreach (var b in bytes[..length])
                output.Append(ToChar[b]);
        }

        return output.ToString();
    }

    private static char[] Build()
    {
        var table = new char[256];
        var next = 0x100;
        for (var b = 0; b < 256; b++)
            table[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : (char)next++;
        return table;
    }

    private static short[] Invert()
    {
        var table = new short[0x100 + 68];
        Array.Fill(table, (short)-1);
        for (var b = 0; b < 256; b++)
            table[ToChar[b]] = (short)b;
        return table;
    }
}
