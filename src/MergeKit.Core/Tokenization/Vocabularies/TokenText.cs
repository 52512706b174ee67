using System.Globalization;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>What kind of text a token stands for.</summary>
public enum TokenTextKind
{
    /// <summary>Text.</summary>
    Text,

    /// <summary>Bytes that are no text by themselves, written as Latin-1.</summary>
    Bytes,

    /// <summary>A special token, by its name.</summary>
    Special,
}

/// <summary>The text that a token stands for, however its vocabulary spells it: <c>Ġthe</c> and <c>▁the</c> are both <c>" the"</c>.</summary>
/// <param name="Kind">What kind of text.</param>
/// <param name="Text">The text.</param>
public readonly record struct TokenText(TokenTextKind Kind, string Text)
{
    private static readonly System.Text.UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>The texts of a tokenizer's tokens with an id below a limit, and the ids; of tokens with the same text the lowest id counts.</summary>
    public static Dictionary<TokenText, int> All(Tokenizer tokenizer, int limit)
    {
        var texts = new Dictionary<TokenText, int>();
        foreach (var (token, id) in tokenizer.Vocabulary.Where(pair => pair.Value < limit).OrderBy(pair => pair.Value))
            texts.TryAdd(Of(tokenizer, token), id);
        return texts;
    }

    /// <summary>The text of one token.</summary>
    public static TokenText Of(Tokenizer tokenizer, string token)
    {
        if (tokenizer.FindAdded(token) is { } added)
            return new TokenText(added.Special ? TokenTextKind.Special : TokenTextKind.Text, token);
        return tokenizer.Kind switch
        {
            { Alphabet: TokenAlphabet.Bytes } => OfBytes(token),
            { Alphabet: TokenAlphabet.Metaspace } => ByteOf(token) is { } value ? OfByte(value) : new TokenText(TokenTextKind.Text, token.Replace('\u2581', ' ')),
            { Prefix: { } prefix } => new TokenText(TokenTextKind.Text, token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token),
            { Suffix: { } suffix } when token.EndsWith(suffix, StringComparison.Ordinal) => new TokenText(TokenTextKind.Text, token[..^suffix.Length]),
            _ => new TokenText(TokenTextKind.Text, token),
        };
    }

    /// <summary>The text as the words of another tokenizer's vocabulary spell it, to be cut into its tokens; null for what is no text.</summary>
    public string? SpelledFor(TokenizerKind kind) => (Kind, kind) switch
    {
        (TokenTextKind.Text, { Alphabet: TokenAlphabet.Bytes }) => ByteAlphabet.Encode(Text),
        (TokenTextKind.Text, { Alphabet: TokenAlphabet.Metaspace }) => Text.Replace(' ', '\u2581'),
        (TokenTextKind.Text, { Prefix: not null }) => Text.TrimStart(' '),
        (TokenTextKind.Text, _) => Text,
        (TokenTextKind.Bytes, { Alphabet: TokenAlphabet.Bytes }) => string.Concat(Text.Select(unit => ByteAlphabet.Char((byte)unit))),
        _ => null,
    };

    /// <summary>The same as a single byte, where it is one character below 128; else null.</summary>
    public TokenText? AsByte => Kind == TokenTextKind.Text && Text.Length == 1 && Text[0] < 128 ? new TokenText(TokenTextKind.Bytes, Text) : null;

    /// <summary>The same as text, where it is one byte below 128; else null.</summary>
    public TokenText? AsText => Kind == TokenTextKind.Bytes && Text.Length == 1 && Text[0] < 128 ? new TokenText(TokenTextKind.Text, Text) : null;

    private static TokenText OfBytes(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (ByteAlphabet.Byte(token[i]) is not (>= 0 and var value))
                return new TokenText(TokenTextKind.Text, token); // spelt with characters that are no byte's
            bytes[i] = (byte)value;
        }

        try
        {
            return new TokenText(TokenTextKind.Text, Strict.GetString(bytes));
        }
        catch (System.Text.DecoderFallbackException)
        {
            return new TokenText(TokenTextKind.Bytes, System.Text.Encoding.Latin1.GetString(bytes));
        }
    }

    private static TokenText OfByte(byte value) => new(TokenTextKind.Bytes, ((char)value).ToString());

    /// <summary>The byte that a token such as <c>&lt;0x0A&gt;</c> spells, or null.</summary>
    private static byte? ByteOf(string token) => token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;
}
