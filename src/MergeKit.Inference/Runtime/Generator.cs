using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Inference.Runtime;

/// <summary>Why a generation ended.</summary>
public enum StopReason
{
    /// <summary>An end-of-sequence token came.</summary>
    EndOfSequence,

    /// <summary>The number of tokens asked for was reached.</summary>
    TokenLimit,

    /// <summary>The model's context is full.</summary>
    ContextFull,
}

/// <summary>Draws tokens one after the other.</summary>
/// <param name="model">Any language model.</param>
/// <param name="sampler">How each token is drawn.</param>
/// <param name="endIds">Tokens that end the text.</param>
public sealed class Generator(ILanguageModel model, Sampler sampler, IReadOnlySet<int> endIds)
{
    /// <summary>Continues a prompt.</summary>
    /// <param name="prompt">At least one token.</param>
    /// <param name="limit">The most tokens to draw.</param>
    /// <param name="emit">Receives each token as it comes, an end-of-sequence token excepted.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <exception cref="InputException">The prompt is empty or fills the context.</exception>
    public StopReason Run(IReadOnlyList<int> prompt, int limit, Action<int> emit, CancellationToken cancellation = default)
    {
        if (prompt.Count == 0)
            throw new InputException("the prompt has no tokens: give a text, or a model whose tokenizer begins a text with a token");
        if (prompt.Count >= model.MaxLength)
            throw new InputException($"the prompt has {prompt.Count} tokens, but the context of {model.Name} holds {model.MaxLength}");
        using var session = model.Open();
        session.Append([.. prompt]);
        var history = prompt.ToList();
        var logits = new float[model.VocabularySize];
        for (var step = 0; step < limit; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var id = Next(session, logits, history, step);
            if (endIds.Contains(id))
                return StopReason.EndOfSequence;
            emit(id);
            history.Add(id);
            if (session.Length + 1 > model.MaxLength)
                return StopReason.ContextFull;
            if (step + 1 < limit)
                session.Append([id]);
        }

        return StopReason.TokenLimit;
    }

    private int Next(ISession session, float[] logits, List<int> history, int step)
    {
        if (sampler.IsArgMax && session is IGreedySession greedy && greedy.NextArgMax() is var id and >= 0)
            return id;
        if (sampler.Rule(step) is { } rule && session is IDrawingSession drawing && drawing.NextDraw(rule) is var drawn and >= 0)
            return drawn;
        session.NextLogits(logits);
        return sampler.Next(logits, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(history), step);
    }
}
