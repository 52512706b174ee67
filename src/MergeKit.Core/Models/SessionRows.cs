namespace MergeKit.Core.Models;

/// <summary>The laws of a model that has no better way than one session per request, token by token. Reading forwards runs each request once.</summary>
internal sealed class SessionRows : ILogitRows
{
    private readonly ILanguageModel _model;
    private readonly IReadOnlyList<ScoreRequest> _requests;
    private readonly int[] _starts;
    private ISession? _session;
    private int _request = -1;
    private int _token;

    public SessionRows(ILanguageModel model, IReadOnlyList<ScoreRequest> requests)
    {
        (_model, _requests, _starts) = (model, requests, new int[requests.Count]);
        for (var i = 0; i < requests.Count; i++)
        {
            _starts[i] = Count;
            Count += requests[i].Continuation.Length;
        }
    }

    /// <inheritdoc/>
    public int Count { get; }

    /// <inheritdoc/>
    public void Read(int first, Span<float> logits)
    {
        for (var done = 0; done < logits.Length; done += _model.VocabularySize)
        {
            MoveTo(first++);
            _session!.NextLogits(logits.Slice(done, _model.VocabularySize));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _session?.Dispose();

    private void MoveTo(int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Count);
        var request = Array.FindLastIndex(_starts, start => start <= row);
        while (_requests[request].Continuation.IsEmpty)
            request--;
        var token = row - _starts[request];
        if (request != _request || token < _token)
        {
            _session?.Dispose();
            _session = _model.Open();
            _session.Append(_requests[request].Context.Span);
            (_request, _token) = (request, 0);
        }

        _session!.Append(_requests[request].Continuation.Span[_token..token]);
        _token = token;
    }
}
