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
        var texts = items.Select(_ => new Continuation(encoder, options.MaxNewTokens)).ToArray();
        var prompts = items.Select(item => Prompt(model, encoder, item.Prompt, options.MaxNewTokens)).ToArray();
        var done = 0;
        bool Take(int index, int id)
        {
            if (texts[index].Take(id))
                return true;
            options.Progress?.Invoke(new EvaluationProgress(model.Name, data.Name, ++done, items.Length));
            return false;
        }

        if (model.Model is IBatchGenerator generator)
            generator.Generate(prompts, Take, cancellation);
        else
            OneByOne(model.Model, prompts, Take, cancellation);
        return [.. items.Select((item, index) => (ItemResult)new ExactItem(
            index, texts[index].Text, PythonString.Strip(texts[index].Text.Split('\n')[0], null) == item.Answer))];
    }

    /// <summary>The ids of a prompt; one that is too long keeps its last tokens.</summary>
    private static ReadOnlyMemory<int> Prompt(EvaluatedModel model, ITextEncoder encoder, string prompt, int maxNewTokens)
    {
        var ids = encoder.Encode(prompt, addSpecialTokens: true);
        if (ids.Length == 0)
            ids = [encoder.BosId ?? encoder.EosId ?? throw new EvaluationException(EvaluationError.NoPrefixToken, $"{model.Name}: an empty prompt needs a BOS or EOS token")];
        if (ids.Any(id => id < 0 || id >= model.Model.VocabularySize))
            throw new InputException($"{model.Name}: the tokenizer gives the id {ids.Max()}, but the model has {model.Model.VocabularySize} ids");
        return ids.AsMemory(Math.Max(0, ids.Length - (model.Model.MaxLength - maxNewTokens)));
    }

    private static void OneByOne(ILanguageModel model, IReadOnlyList<ReadOnlyMemory<int>> prompts, Func<int, int, bool> take, CancellationToken cancellation)
    {
        var logits = new float[model.VocabularySize];
        for (var index = 0; index < prompts.Count; index++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var session = model.Open();
            session.Append(prompts[index].Span);
            session.NextLogits(logits);
            for (var id = ArgMax(logits); take(index, id); id = ArgMax(logits))
            {
                session.Append([id]);
                session.NextLogits(logits);
            }
        }
    }

    /// <summary>Of equal logits the lowest id.</summary>
    private static int ArgMax(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best])
                best = i;
        return best;
    }

    /// <summary>The greedy continuation up to EOS, a newline or the limit.</summary>
    private sealed class Continuation(ITextEncoder encoder, int limit)
    {
        private readonly List<int> _ids = [];

        public string Text { get; private set; } = "";

        /// <summary>Takes a token; says whether another is wanted.</summary>
        public bool Take(int id)
        {
            if (id == encoder.EosId)
                return false;
            _ids.Add(id);
            Text = encoder.Decode(_ids.ToArray());
            return _ids.Count < limit && !Text.Contains('\n');
        }
    }
}
