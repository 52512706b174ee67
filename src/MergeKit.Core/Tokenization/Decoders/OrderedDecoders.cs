namespace MergeKit.Core.Tokenization.Decoders;

/// <summary><c>BPEDecoder</c>: the end-of-word suffix becomes a space, at the last token nothing.</summary>
internal sealed class SuffixDecoder(string suffix) : Decoder
{
    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new Run(suffix, next);

    private sealed class Run(string suffix, DecoderRun next) : DecoderRun
    {
        private string? _held;

        public override void Push(string token)
        {
            Release(" ");
            _held = token;
        }

        public override void Finish()
        {
            Release("");
            next.Finish();
        }

        private void Release(string end)
        {
            if (_held is not null)
                next.Push(suffix.Length == 0 ? _held : _held.Replace(suffix, end, StringComparison.Ordinal));
        }
    }
}

/// <summary><c>CTC</c> (Graves et al. 2006): equal neighbours become one, then the pad token goes and the word delimiter
/// becomes a space.</summary>
internal sealed class CtcDecoder(string pad, string delimiter, bool cleanup) : Decoder
{
    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new Run(this, next);

    private string Clean(string token)
    {
        var text = pad.Length == 0 ? token : token.Replace(pad, "", StringComparison.Ordinal);
        if (!cleanup)
            return text;
        text = DecoderReader.CleanUp(text);
        return delimiter.Length == 0 ? text : text.Replace(delimiter, " ", StringComparison.Ordinal);
    }

    private sealed class Run(CtcDecoder decoder, DecoderRun next) : DecoderRun
    {
        private string? _last;

        public override void Push(string token)
        {
            if (token == _last)
                return;
            _last = token;
            if (decoder.Clean(token) is { Length: > 0 } text)
                next.Push(text);
        }

        public override void Finish() => next.Finish();
    }
}
