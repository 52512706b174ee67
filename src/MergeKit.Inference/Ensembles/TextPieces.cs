using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Ensembles;

/// <summary>The text of ids as they come, whole characters only: by the tokenizer where all ids are its own, else from all ids so far.</summary>
/// <param name="model">The model whose ids they are.</param>
public sealed class TextPieces(OpenedModel model)
{
    private readonly StreamDecoder? _decoder = model.Tokenizer?.CreateStreamDecoder();
    private readonly List<int> _ids = [];
    private int _shown;

    /// <summary>Takes the next id and returns what can be shown now.</summary>
    public string Append(int id)
    {
        if (_decoder is not null)
            return _decoder.Append(id);
        _ids.Add(id);
        return Rest(Decode().TrimEnd('\uFFFD'));
    }

    /// <summary>What was held back.</summary>
    public string Flush() => _decoder is not null ? _decoder.Flush() : Rest(Decode());

    private string Decode() => model.Encoder.Decode(_ids.ToArray());

    private string Rest(string text)
    {
        var rest = text[Math.Min(_shown, text.Length)..];
        _shown += rest.Length;
        return rest;
    }
}
