using System.Text;

namespace MergeKit.Core.Tokenization.Decoders;

/// <summary><c>Strip</c>: drops up to so many of one character from the start and the end of every token.</summary>
internal sealed class StripDecoder(Rune content, int start, int stop) : Decoder
{
    private readonly string _content = content.ToString();

    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new TokenRun(this, next);

    /// <inheritdoc/>
    public override DecoderRun OpenFused(DecoderRun next) => new PieceRun(this, next);

    private bool BeginsAt(string text, int index) => string.CompareOrdinal(text, index, _content, 0, _content.Length) == 0;

    private sealed class TokenRun(StripDecoder strip, DecoderRun next) : DecoderRun
    {
        public override void Push(string token)
        {
            var one = new PieceRun(strip, next);
            one.Push(token);
        }

        public override void Finish() => next.Finish();
    }

    /// <summary>Holds back as many characters at the end as might have to go.</summary>
    private sealed class PieceRun(StripDecoder strip, DecoderRun next) : DecoderRun
    {
        private int _left = strip.Start;
        private int _held;

        public override void Push(string token)
        {
            var width = strip._content.Length;
            var begin = 0;
            while (_left > 0 && begin < token.Length)
            {
                if (!strip.BeginsAt(token, begin))
                {
                    _left = 0;
                    break;
                }

                (begin, _left) = (begin + width, _left - 1);
            }

            var text = string.Concat(string.Concat(Enumerable.Repeat(strip._content, _held)), token.AsSpan(begin));
            var end = text.Length;
            for (_held = 0; _held < strip.Stop && end >= width && strip.BeginsAt(text, end - width); _held++)
                end -= width;
            if (end > 0)
                next.Push(text[..end]);
        }

        public override void Finish() => next.Finish();
    }

    private int Start => start;

    private int Stop => stop;
}
