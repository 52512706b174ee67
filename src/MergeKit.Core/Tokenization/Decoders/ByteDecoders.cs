using System.Buffers;
using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Decoders;

/// <summary><c>ByteLevel</c>: characters back to bytes, bytes to text; what is no UTF-8 becomes U+FFFD. A token with a
/// character outside the alphabet counts as its own UTF-8.</summary>
internal sealed class ByteLevelDecoder : Decoder
{
    /// <inheritdoc/>
    public override bool Fuses => true;

    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new Run(next);

    private sealed class Run(DecoderRun next) : DecoderRun
    {
        private readonly System.Text.Decoder _utf8 = new UTF8Encoding(false, false).GetDecoder();

        public override void Push(string token)
        {
            var bytes = new byte[token.Length];
            for (var i = 0; i < token.Length; i++)
            {
                var value = ByteAlphabet.Byte(token[i]);
                if (value < 0)
                {
                    bytes = System.Text.Encoding.UTF8.GetBytes(token);
                    break;
                }

                bytes[i] = (byte)value;
            }

            Write(bytes, false);
        }

        public override void Finish()
        {
            Write([], true);
            next.Finish();
        }

        private void Write(byte[] bytes, bool last)
        {
            var text = new char[_utf8.GetCharCount(bytes, last)];
            _utf8.GetChars(bytes, text, last);
            if (text.Length > 0)
                next.Push(new string(text));
        }
    }
}

/// <summary><c>ByteFallback</c>: a run of byte tokens such as <c>&lt;0xE2&gt;</c> becomes the text it spells, or one U+FFFD per byte
/// where the run as a whole is no UTF-8. A run is held back until it ends.</summary>
internal sealed class ByteFallbackDecoder : Decoder
{
    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new Run(next);

    private sealed class Run(DecoderRun next) : DecoderRun
    {
        private readonly List<byte> _bytes = [];

        public override void Push(string token)
        {
            if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                _bytes.Add(value);
                return;
            }

            Spell();
            next.Push(token);
        }

        public override void Finish()
        {
            Spell();
            next.Finish();
        }

        private void Spell()
        {
            if (_bytes.Count == 0)
                return;
            var bytes = _bytes.ToArray();
            _bytes.Clear();
            if (IsUtf8(bytes))
            {
                next.Push(System.Text.Encoding.UTF8.GetString(bytes));
                return;
            }

            for (var i = 0; i < bytes.Length; i++)
                next.Push("\uFFFD");
        }

        private static bool IsUtf8(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                if (Rune.DecodeFromUtf8(bytes, out _, out var length) != OperationStatus.Done)
                    return false;
                bytes = bytes[length..];
            }

            return true;
        }
    }
}
