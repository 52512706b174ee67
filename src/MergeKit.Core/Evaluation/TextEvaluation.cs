using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Evaluation;

/// <summary>Running text: every token scored once, in windows of the model's length minus one, each after one token of context.</summary>
internal static class TextEvaluation
{
    public static List<ItemResult> Run(EvaluatedModel model, TextDataSet data, EvaluationOptions options, CancellationToken cancellation)
    {
        var documents = data.Documents.Take(options.Limit ?? int.MaxValue).ToArray();
        var prefix = model.Encoder.BosId ?? model.Encoder.EosId ?? throw new EvaluationException(
            EvaluationError.NoPrefixToken, $"{model.Name}: running text needs a BOS or EOS token to begin with, and the tokenizer has neither");
        var tokens = documents.Select(document => model.Encoder.Encode(document, addSpecialTokens: false)).ToArray();
        var windows = tokens.SelectMany((ids, document) => Windows(ids, prefix, model.Model.MaxLength - 1, options.Windows)
            .Select(request => (document, request))).ToArray();
        var sums = new RequestScorer(model, data.Name, options, cancellation).Sums(windows.Select(window => window.request).ToArray());
        if (Array.FindIndex(sums, double.IsNegativeInfinity) is >= 0 and var impossible)
            throw new InputException(
                $"{model.Name} on {data.Name}: a token of document {windows[impossible].document + 1} is impossible for this model, so its perplexity is infinite "
                + "(an intersection of vocabularies lacks tokens; 'union' or 'bytes' do not)");
        if (data.IsPlainText)
            return PlainItems(model, documents[0], windows.Select(window => window.request).ToArray(), sums);
        var totals = new double[documents.Length];
        for (var i = 0; i < windows.Length; i++)
            totals[windows[i].document] += sums[i];
        return documents.Select((document, i) => (ItemResult)new TextItem(
            i, totals[i], tokens[i].Length, TextMeasure.Bytes(document), TextMeasure.Words(document))).ToList();
    }

    public static List<Measurement> Measure(IReadOnlyList<TextItem> items, bool plainText, EvaluationOptions options)
    {
        var method = plainText ? "bootstrap over windows" : "bootstrap over documents";
        var nll = items.Select(item => -item.LogLikelihood).ToArray();
        return
        [
            Ratio("bits_per_byte", item => item.Bytes * Math.Log(2), value => value),
            Ratio("nll_per_token", item => item.Tokens, value => value),
            Ratio("token_perplexity", item => item.Tokens, Math.Exp),
            Ratio("byte_perplexity", item => item.Bytes, Math.Exp),
            Ratio("word_perplexity", item => item.Words, Math.Exp),
        ];

        Measurement Ratio(string metric, Func<TextItem, double> unit, Func<double, double> scale)
        {
            var units = items.Select(unit).ToArray();
            var interval = RatioBootstrap.Interval95(nll, units, options.BootstrapDraws, options.Seed);
            return new Measurement(
                metric, scale(RatioBootstrap.Ratio(nll, units)), interval is { } range ? new Interval(scale(range.Low), scale(range.High)) : null,
                method, HigherIsBetter: false, items.Count);
        }
    }

    /// <summary>The windows of one document.</summary>
    public static IEnumerable<LoglikelihoodRequest> Windows(int[] ids, int prefix, int maxLength, WindowContext context)
    {
        if (maxLength < 1)
            throw new EvaluationException(EvaluationError.InvalidParameter, "running text needs a model of at least 2 tokens");
        foreach (var window in RollingWindows.Of(ids.Length, maxLength))
        {
            var previous = context == WindowContext.PreviousToken && window.Context[^1] >= 0 ? ids[window.Context[^1]] : prefix;
            var scored = window.Continuation.Select(index => ids[index]).ToArray();
            yield return new LoglikelihoodRequest([previous], scored, [previous, .. scored[..^1]], 0);
        }
    }

    /// <summary>One item a window; the text's bytes and words are shared out in proportion to what the windows decode to.</summary>
    private static List<ItemResult> PlainItems(EvaluatedModel model, string text, LoglikelihoodRequest[] windows, double[] sums)
    {
        var decoded = windows.Select(window => model.Encoder.Decode(window.ContinuationTokens)).ToArray();
        var bytes = Shares(decoded.Select(part => (double)TextMeasure.Bytes(part)).ToArray(), TextMeasure.Bytes(text));
        var words = Shares(decoded.Select(part => (double)TextMeasure.Words(part)).ToArray(), TextMeasure.Words(text));
        return windows.Select((window, i) => (ItemResult)new TextItem(i, sums[i], window.ContinuationTokens.Length, bytes[i], words[i])).ToList();
    }

    /// <summary>Shares a total out in proportion.</summary>
    public static double[] Shares(double[] parts, double total)
    {
        var sum = parts.Sum();
        return parts.Select(part => sum > 0 ? part * total / sum : total / parts.Length).ToArray();
    }
}
