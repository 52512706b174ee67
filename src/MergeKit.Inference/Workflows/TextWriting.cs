using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Workflows;

/// <summary>How a text is written.</summary>
/// <param name="MaxNewTokens">The most tokens.</param>
/// <param name="Stop">The text ends before the first of these.</param>
/// <param name="Temperature">0 is greedy.</param>
/// <param name="Seed">Of the draws.</param>
public sealed record WritingOptions(int MaxNewTokens = 32, IReadOnlyList<string>? Stop = null, double Temperature = 0, ulong Seed = 0);

/// <summary>A text that a model wrote, with how sure it was. Every drawn token counts, the one that ended the text too.</summary>
/// <param name="Text">The text, without what ended it.</param>
/// <param name="LogProbs">ln p of each drawn token under the model itself, whatever the temperature.</param>
/// <param name="Margins">p of the most probable token minus p of the second, at each step.</param>
public sealed record WrittenText(string Text, IReadOnlyList<double> LogProbs, IReadOnlyList<double> Margins)
{
    /// <summary>The mean log-probability; 0 for no tokens.</summary>
    public double MeanLogProb => LogProbs.Count > 0 ? LogProbs.Average() : 0;
}

/// <summary>Lets a model write, and notes how sure it is.</summary>
public static class TextWriting
{
    /// <summary>Continues a prompt until end of sequence, a stop string or the limit. A prompt that is too long keeps its last tokens.</summary>
    /// <exception cref="InputException">The limit does not fit the model, or the prompt is empty and there is no token to begin with.</exception>
    public static WrittenText Write(EvaluatedModel model, string prompt, WritingOptions options, CancellationToken cancellation = default)
    {
        var sampler = new Sampler(new SamplerOptions { Temperature = (float)options.Temperature, Seed = options.Seed });
        using var session = model.Model.Open();
        session.Append(Prompt(model, prompt, options.MaxNewTokens));
        var (ids, logProbs, margins) = (new List<int>(), new List<double>(), new List<double>());
        var logits = new float[model.Model.VocabularySize];
        var text = "";
        while (ids.Count < options.MaxNewTokens)
        {
            cancellation.ThrowIfCancellationRequested();
            if (ids.Count > 0)
                session.Append([ids[^1]]);
            session.NextLogits(logits);
            var (total, margin) = Describe(logits);
            var raw = logits.ToArray();
            var id = sampler.Next(logits, [], ids.Count);
            logProbs.Add(raw[id] - total);
            margins.Add(margin);
            if (id == model.Encoder.EosId)
                break;
            ids.Add(id);
            text = model.Encoder.Decode(ids.ToArray());
            if (Cut(text, options.Stop) is { } whole)
            {
                text = whole;
                break;
            }
        }

        return new WrittenText(text, logProbs, margins);
    }

    /// <summary>ids of a prompt with BOS, cut on the left so that the new tokens fit.</summary>
    internal static int[] Prompt(EvaluatedModel model, string prompt, int room)
    {
        if (room < 1 || room >= model.Model.MaxLength)
            throw new InputException($"max_new_tokens is {room}; {model.Name} holds {model.Model.MaxLength} tokens, so 1 to {model.Model.MaxLength - 1} are possible");
        var ids = model.Encoder.Encode(prompt, addSpecialTokens: true);
        if (model.Encoder.BosId is { } bos && (ids.Length == 0 || ids[0] != bos))
            ids = [bos, .. ids];
        if (ids.Length == 0)
            ids = [model.Encoder.EosId ?? throw new InputException($"{model.Name}: an empty prompt needs a tokenizer with a BOS or EOS token")];
        return ids[Math.Max(0, ids.Length - (model.Model.MaxLength - room))..];
    }

    private static string? Cut(string text, IReadOnlyList<string>? stop)
    {
        int[] found = [.. (stop ?? []).Select(word => text.IndexOf(word, StringComparison.Ordinal)).Where(at => at >= 0)];
        return found.Length > 0 ? text[..found.Min()] : null;
    }

    /// <summary>ln sum exp, and p(first) - p(second).</summary>
    private static (double Total, double Margin) Describe(ReadOnlySpan<float> logits)
    {
        var best = TensorPrimitives.IndexOfMax(logits);
        if (best < 0 || !float.IsFinite(logits[best]))
            return (double.NaN, double.NaN);
        var (sum, second) = (0.0, double.NegativeInfinity);
        for (var i = 0; i < logits.Length; i++)
        {
            sum += Math.Exp((double)logits[i] - logits[best]);
            if (i != best)
                second = Math.Max(second, logits[i]);
        }

        return (logits[best] + Math.Log(sum), (1 - Math.Exp(second - logits[best])) / sum);
    }
}
