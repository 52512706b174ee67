namespace MergeKit.Core.Evaluation.Metrics;

/// <summary>A document scored token by token.</summary>
/// <param name="LogLikelihood">Sum of ln p over its tokens.</param>
/// <param name="Tokens">How many tokens were scored.</param>
/// <param name="Bytes">Its length in UTF-8.</param>
/// <param name="Words">Its pieces between runs of white space.</param>
public readonly record struct RollingDocument(double LogLikelihood, double Tokens, double Bytes, double Words)
{
    /// <summary>The measures of a text with the log-probabilities of its tokens.</summary>
    public static RollingDocument Of(string text, IReadOnlyCollection<double> tokenLogProbs) =>
        new(tokenLogProbs.Sum(), tokenLogProbs.Count, TextMeasure.Bytes(text), TextMeasure.Words(text));
}

/// <summary>Metrics of running text: ratios of sums over all documents, never means of ratios. NaN where the documents have no such unit.</summary>
/// <param name="WordPerplexity">exp(-sum ln p / words).</param>
/// <param name="BytePerplexity">exp(-sum ln p / bytes).</param>
/// <param name="BitsPerByte">-sum ln p / (bytes ln 2): comparable between tokenizers.</param>
/// <param name="TokenPerplexity">exp(-sum ln p / tokens): comparable only under one tokenizer.</param>
public sealed record RollingMetrics(double WordPerplexity, double BytePerplexity, double BitsPerByte, double TokenPerplexity)
{
    /// <summary>Adds up the documents.</summary>
    public static RollingMetrics Of(IReadOnlyCollection<RollingDocument> documents)
    {
        var nll = -documents.Sum(document => document.LogLikelihood);
        var bytes = Per(document => document.Bytes);
        return new RollingMetrics(
            Math.Exp(Per(document => document.Words)), Math.Exp(bytes), bytes / Math.Log(2), Math.Exp(Per(document => document.Tokens)));

        double Per(Func<RollingDocument, double> unit) => documents.Sum(unit) is var count && count > 0 ? nll / count : double.NaN;
    }
}
