using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Models;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation;

/// <summary>Exact match: a greedy continuation of the prompt, its first line trimmed, against the answer.</summary>
internal static class ExactEvaluation
{
    public static List<ItemResult> Run(EvaluatedModel model, ExactDataSet data, EvaluationOptions options, CancellationToken cancellation)
    {
        if (options.MaxNewTokens < 1 || options.MaxNewTokens >= model.Model.MaxLength)
            throw new EvaluationException(
                EvaluationError.InvalidParameter, $"{options.MaxNewTokens} new tokens: expected 1 to {model.Model.MaxLength - 1} for {model.Name}");
        ITextEncoder encoder = options.AlwaysBos ? new BosEncoder(model.Encoder) : model.Encoder;
        var items = data.Items.Take(options.Limit ?? int.MaxValue).ToArray();
        var results = new List<ItemResult>();
        foreach (var (index, item) in items.Index())
        {
            cancellation.ThrowIfCancellationRequested();
            var generated = Generate(model, encoder, item.Prompt, options.MaxNewTokens);
            var line = PythonString.Strip(generated.Split('\n')[0], null);
            results.Add(new ExactItem(index, generated, line == item.Answer));
            options.Progress?.Invoke(new EvaluationProgress(model.Name, data.Name, index + 1, items.Length));
        }

        return results;
    }

    /// <summary>The greedy continuation up to EOS, a newline or the limit; of equal logits the lowest id. A prompt that is too long keeps its last tokens.</summary>
    private static string Generate(EvaluatedModel model, ITextEncoder encoder, string prompt, int maxNewTokens)
    {
        var ids = encoder.Encode(prompt, addSpecialTokens: true);
        if (ids.Length == 0)
            ids = [encoder.BosId ?? encoder.EosId ?? throw new EvaluationException(EvaluationError.NoPrefixToken, $"{model.Name}: an empty prompt needs a BOS or EOS token")];
        if (ids.Any(id => id < 0 || id >= model.Model.VocabularySize))
            throw new InputException($"{model.Name}: the tokenizer gives the id {ids.Max()}, but the model has {model.Model.VocabularySize} ids");
        using var session = model.Model.Open();
        session.Append(ids.AsSpan(Math.Max(0, ids.Length - (model.Model.MaxLength - maxNewTokens))));
        var generated = new List<int>();
        var logits = new float[model.Model.VocabularySize];
        var text = "";
        while (generated.Count < maxNewTokens && !text.Contains('\n'))
        {
            if (generated.Count > 0)
                session.Append([generated[^1]]);
            var best = Next(session, logits);
            if (best == encoder.EosId)
                break;
            generated.Add(best);
            text = encoder.Decode(generated.ToArray());
        }

        return text;
    }

    private static int Next(ISession session, float[] logits)
    {
        if (session is IGreedySession greedy && greedy.NextArgMax() is var id and >= 0)
            return id;
        session.NextLogits(logits);
        return ArgMax(logits);
    }

    private static int ArgMax(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best])
                best = i;
        return best;
    }
}
