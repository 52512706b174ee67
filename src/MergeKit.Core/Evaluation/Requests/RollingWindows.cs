namespace MergeKit.Core.Evaluation.Requests;

/// <summary>A window over a document: which tokens are scored, and which stand before them. -1 is the prefix token.</summary>
public sealed record RollingWindow(int[] Context, int[] Continuation);

/// <summary>Cuts a document that is longer than the model into windows that score every token once.</summary>
public static class RollingWindows
{
    /// <summary>The place of the prefix token in a context.</summary>
    public const int Prefix = -1;

    /// <summary>The windows over tokens 0 to <paramref name="length"/> - 1, by index. The first predicts up to <paramref name="maxLength"/> tokens after the
    /// prefix token; each later one up to <paramref name="maxLength"/> - <paramref name="contextLength"/> + 1 more, with as many tokens before them as fit,
    /// cut so that context and continuation together hold <paramref name="maxLength"/> + 1 tokens and do not overlap.
    /// Errors: a context length outside 1 to <paramref name="maxLength"/>.</summary>
    public static IReadOnlyList<RollingWindow> Of(int length, int maxLength, int contextLength = 1)
    {
        if (contextLength < 1 || contextLength > maxLength || length < 0)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"a context of {contextLength} tokens does not fit windows of {maxLength}");
        var windows = new List<RollingWindow>();
        if (length == 0)
            return windows;
        var predicted = Math.Min(maxLength, length);
        windows.Add(new RollingWindow([Prefix], Range(0, predicted)));
        while (predicted < length)
        {
            var count = Math.Min(length - predicted, maxLength - contextLength + 1);
            var end = predicted + count;
            windows.Add(new RollingWindow(Range(end - maxLength - 1, predicted), Range(predicted, end)));
            predicted = end;
        }

        return windows;
    }

    private static int[] Range(int start, int end) => Enumerable.Range(start, end - start).ToArray();
}
