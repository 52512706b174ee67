using System.Text;
using MergeKit.Core.Tokenization.Decoders;

namespace MergeKit.Core.Tokenization;

/// <summary>Decodes tokens as they come. All texts returned, one after the other, equal what <see cref="Tokenizer.Decode"/>
/// gives for all ids; incomplete UTF-8, and what a later token may still change, is held back. Not thread-safe.</summary>
public sealed class StreamDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly StringBuilder _output = new();
    private DecoderRun _run;

    internal StreamDecoder(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        (_tokenizer, _skipSpecialTokens) = (tokenizer, skipSpecialTokens);
        _run = tokenizer.OpenDecoder(_output);
    }

    /// <summary>Takes the next id; returns the text that is complete now, often empty. Unknown ids are passed over.</summary>
    public string Append(int id)
    {
        if (_tokenizer.IdToToken(id) is { } token && !(_skipSpecialTokens && _tokenizer.IsSpecialText(token)))
            _run.Push(token);
        return Drain();
    }

    /// <summary>Ends the sequence: returns what was held back, and starts afresh.</summary>
    public string Flush()
    {
        _run.Finish();
        var text = Drain();
        _run = _tokenizer.OpenDecoder(_output);
        return text;
    }

    private string Drain()
    {
        var text = _output.ToString();
        _output.Clear();
        return text;
    }
}
