using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>What every member gave to every token of whole sequences, so that a rule with memory can be led along them.</summary>
internal sealed class Memory
{
    private readonly Ensemble _ensemble;
    private readonly IReadOnlyList<ScoreRequest> _requests;
    private readonly IReadOnlyList<float[]>[] _logProbs;

    private Memory(Ensemble ensemble, IReadOnlyList<ScoreRequest> requests, IReadOnlyList<float[]>[] logProbs) =>
        (_ensemble, _requests, _logProbs) = (ensemble, requests, logProbs);

    /// <summary>Called at a position with the memory before its token, and ln p_k of the token.</summary>
    public delegate void Visit(int position, double[] state, ReadOnlySpan<double> tokenLogProbs);

    /// <summary>Scores everything but the first token of every request.</summary>
    public static Memory Of(Ensemble ensemble, IReadOnlyList<ScoreRequest> requests)
    {
        ScoreRequest[] whole = [.. requests.Select(request => new ScoreRequest(
            request.Context[..1], (int[])[.. request.Context.Span[1..], .. request.Continuation.Span]))];
        return new Memory(ensemble, whole, ensemble.RunLogProbs(whole));
    }

    /// <summary>Goes along one request from its second token to its last.</summary>
    public void Walk(int request, int prompt, Visit visit)
    {
        var combiner = _ensemble.Combiner;
        var (state, next) = (new double[combiner.StateSize], new double[combiner.StateSize]);
        combiner.Begin(state);
        Span<double> token = stackalloc double[combiner.Members];
        var ids = _requests[request].Continuation.Span;
        for (var i = 0; i < ids.Length; i++)
        {
            for (var k = 0; k < token.Length; k++)
                token[k] = _ensemble.RunOf[k] is >= 0 and var run ? _logProbs[run][request][i] : 0;
            visit(i + 1, state, token);
            var last = i == 0 ? _requests[request].Context.Span[0] : ids[i - 1];
            var step = new StepContext { Position = i + 1, PromptLength = prompt, LastClass = _ensemble.ClassOf(last), State = state };
            combiner.Observe(step, token, next);
            (state, next) = (next, state);
        }
    }
}
