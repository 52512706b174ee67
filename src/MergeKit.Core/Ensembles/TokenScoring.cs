using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>Scores by rules that need K numbers per token, not K rows.</summary>
internal static class TokenScoring
{
    /// <summary>ln p of every continuation token.</summary>
    public static float[][] LogProbs(Ensemble ensemble, ITokenCombiner rule, IReadOnlyList<ScoreRequest> requests)
    {
        if (rule.StateSize > 0)
            return Remembering(ensemble, rule, requests);
        var members = ensemble.RunLogProbs(requests);
        return [.. requests.Select((_, i) => Combine(ensemble, rule, [.. members.Select(scores => scores[i])]))];
    }

    /// <summary>One continuation by a rule without memory.</summary>
    /// <param name="ensemble">The ensemble.</param>
    /// <param name="rule">Its rule.</param>
    /// <param name="runs">Per run ln p_k of every token.</param>
    public static float[] Combine(Ensemble ensemble, ITokenCombiner rule, IReadOnlyList<float[]> runs)
    {
        var result = new float[runs[0].Length];
        Span<double> token = stackalloc double[rule.Members];
        for (var t = 0; t < result.Length; t++)
        {
            for (var k = 0; k < token.Length; k++)
                token[k] = ensemble.RunOf[k] is >= 0 and var run ? runs[run][t] : 0;
            result[t] = (float)rule.LogProb(default, token);
        }

        return result;
    }

    private static float[][] Remembering(Ensemble ensemble, ITokenCombiner rule, IReadOnlyList<ScoreRequest> requests)
    {
        var memory = Memory.Of(ensemble, requests);
        return [.. requests.Select((request, i) =>
        {
            var (result, prompt) = (new float[request.Continuation.Length], request.Context.Length);
            memory.Walk(i, prompt, (position, state, token) =>
            {
                if (position >= prompt)
                    result[position - prompt] = (float)rule.LogProb(new StepContext { Position = position, PromptLength = prompt, State = state }, token);
            });
            return result;
        })];
    }
}
