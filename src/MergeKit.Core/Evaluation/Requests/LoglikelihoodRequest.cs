using MergeKit.Core.Models;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>A context and a continuation as tokens, cut to what the model holds.</summary>
/// <param name="ContextTokens">The context; never empty.</param>
/// <param name="ContinuationTokens">The tokens whose probabilities are added up.</param>
/// <param name="Input">What is fed: the last max_length + 1 tokens of both, without the very last one.</param>
/// <param name="FirstScoredPosition">The row of <paramref name="Input"/> that predicts the first scored token.</param>
public sealed record LoglikelihoodRequest(int[] ContextTokens, int[] ContinuationTokens, int[] Input, int FirstScoredPosition)
{
    /// <summary>Encodes a request. White space at the end of the context moves to the continuation, whose tokens are what the encoding of both texts together
    /// has beyond the length of the context's encoding. Special tokens are the tokenizer's own, unless the text already begins with BOS.
    /// An empty context is the prefix token (BOS, else EOS) and the continuation is encoded without special tokens; when it begins with that token, its first token is the context.
    /// A continuation longer than <paramref name="maxLength"/> keeps its last tokens.
    /// Errors: <see cref="EvaluationError.EmptyContinuation"/>, <see cref="EvaluationError.NoPrefixToken"/>.</summary>
    public static LoglikelihoodRequest Encode(ITextEncoder encoder, string context, string continuation, int maxLength, int? prefixToken = null)
    {
        if (maxLength < 1)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"a model of {maxLength} tokens scores nothing");
        if (context.Length == 0)
            return AfterPrefix(Prefix(encoder, prefixToken), encoder.Encode(continuation, addSpecialTokens: false), maxLength, continuation);
        var bare = PythonString.Strip(context, null, left: false);
        continuation = context[bare.Length..] + continuation;
        var whole = EncodeWithSpecial(encoder, bare + continuation);
        var contextTokens = EncodeWithSpecial(encoder, bare);
        var continuationTokens = whole[Math.Min(contextTokens.Length, whole.Length)..];
        return contextTokens.Length > 0 ? Cut(contextTokens, continuationTokens, maxLength, continuation)
            : AfterPrefix(Prefix(encoder, prefixToken), continuationTokens, maxLength, continuation);
    }

    /// <summary>The request for a model: context of at least one token, then the scored tokens.</summary>
    public ScoreRequest ToScoreRequest()
    {
        var scored = Input.Length - FirstScoredPosition;
        return new ScoreRequest(Input.AsMemory(0, FirstScoredPosition + 1), ContinuationTokens.AsMemory(ContinuationTokens.Length - scored));
    }

    private static LoglikelihoodRequest AfterPrefix(int prefix, int[] continuation, int maxLength, string text) =>
        continuation.Length > 0 && continuation[0] == prefix
            ? Cut(continuation[..1], continuation[1..], maxLength, text) : Cut([prefix], continuation, maxLength, text);

    private static LoglikelihoodRequest Cut(int[] context, int[] continuation, int maxLength, string text)
    {
        if (continuation.Length == 0)
            throw new EvaluationException(EvaluationError.EmptyContinuation, $"the continuation '{text}' has no token of its own");
        int[] whole = [.. context, .. continuation];
        var input = whole[Math.Max(0, whole.Length - maxLength - 1)..^1];
        return new LoglikelihoodRequest(context, continuation, input, Math.Max(0, input.Length - continuation.Length));
    }

    private static int[] EncodeWithSpecial(ITextEncoder encoder, string text) =>
        encoder.Encode(text, !(encoder.BosId is { } bos && text.StartsWith(encoder.Decode([bos]), StringComparison.Ordinal)));

    private static int Prefix(ITextEncoder encoder, int? given) => given ?? encoder.BosId ?? encoder.EosId
        ?? throw new EvaluationException(EvaluationError.NoPrefixToken, "an empty context needs a BOS or EOS token, and the tokenizer has neither");
}
