using System.Text;

namespace MergeKit.Core.Tokenization.Decoders;

/// <summary>One step from token texts back to text. Steps are opened as runs that take tokens one by one, so whole
/// sequences and streams are decoded by the same code.</summary>
internal abstract class Decoder
{
    /// <summary>Whether all tokens leave this step as one.</summary>
    public virtual bool Fuses => false;

    /// <summary>A run that takes tokens and hands its own on.</summary>
    public abstract DecoderRun Open(DecoderRun next);

    /// <summary>A run that takes the pieces of a single token; it may have to wait for the last one.</summary>
    public virtual DecoderRun OpenFused(DecoderRun next) => new JoiningRun(Open(next));

    /// <summary>The run of a whole chain of steps, which ends in the output.</summary>
    public static DecoderRun OpenChain(IReadOnlyList<Decoder> steps, StringBuilder output)
    {
        DecoderRun run = new OutputRun(output);
        for (var i = steps.Count - 1; i >= 0; i--)
            run = steps.Take(i).Any(step => step.Fuses) ? steps[i].OpenFused(run) : steps[i].Open(run);
        return run;
    }

    private sealed class OutputRun(StringBuilder output) : DecoderRun
    {
        public override void Push(string token) => output.Append(token);

        public override void Finish() { }
    }

    private sealed class JoiningRun(DecoderRun inner) : DecoderRun
    {
        private readonly StringBuilder _token = new();

        public override void Push(string token) => _token.Append(token);

        public override void Finish()
        {
            inner.Push(_token.ToString());
            inner.Finish();
        }
    }
}

/// <summary>A step at work on one sequence.</summary>
internal abstract class DecoderRun
{
    /// <summary>Takes the next token.</summary>
    public abstract void Push(string token);

    /// <summary>Hands on what is still held: the sequence ends here.</summary>
    public abstract void Finish();
}

/// <summary>A step that changes each token on its own, knowing only how many came before: <c>Replace</c>,
/// <c>Metaspace</c>, <c>WordPiece</c>, and the spaces where there is no decoder at all.</summary>
internal sealed class MapDecoder(Func<string, int, string> map) : Decoder
{
    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => new Run(map, next);

    private sealed class Run(Func<string, int, string> map, DecoderRun next) : DecoderRun
    {
        private int _index;

        public override void Push(string token) => next.Push(map(token, _index++));

        public override void Finish() => next.Finish();
    }
}

/// <summary><c>Fuse</c>: all tokens become one.</summary>
internal sealed class FuseDecoder : Decoder
{
    /// <inheritdoc/>
    public override bool Fuses => true;

    /// <inheritdoc/>
    public override DecoderRun Open(DecoderRun next) => next;

    /// <inheritdoc/>
    public override DecoderRun OpenFused(DecoderRun next) => next;
}
