using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Models;

namespace MergeKit.Core.Workflows.Distillation;

/// <summary>Runs a teacher over prompts and answers and keeps the head of its law at every answer token.</summary>
public static class TeacherExport
{
    private const int BlockFloats = 1 << 20;

    /// <summary>Collects. Errors: <see cref="InputException"/> for top or temperature outside their ranges, and for answers without a token.</summary>
    /// <param name="teacher">Any language model.</param>
    /// <param name="texts">Prompts and answers; answers may be the teacher's own (sequence level, Kim and Rush 2016).</param>
    /// <param name="top">M, tokens kept per position.</param>
    /// <param name="temperature">Of the law that is kept.</param>
    public static TeacherData Run(EvaluatedModel teacher, IReadOnlyList<(string Prompt, string Text)> texts, int top, double temperature)
    {
        if (top < 1 || top > teacher.Model.VocabularySize || !(temperature > 0))
            throw new InputException($"top is {top} and temperature {temperature}; wanted 1 to {teacher.Model.VocabularySize} and a number above 0");
        ScoreRequest[] requests = [.. texts.Select((pair, i) => Encode(teacher, pair.Prompt, pair.Text, i))];
        var positions = requests.Sum(request => request.Continuation.Length);
        var (topIds, topLogProbs, tails) = (new long[checked(positions * top)], new float[positions * top], new float[positions]);
        var size = teacher.Model.VocabularySize;
        var block = Math.Clamp(BlockFloats / size, 1, positions);
        var logits = new float[block * size];
        using var rows = TemperedRows.Open(teacher.Model, requests, temperature);
        for (var first = 0; first < positions; first += block)
        {
            var count = Math.Min(block, positions - first);
            rows.Read(first, logits.AsSpan(0, count * size));
            for (var i = 0; i < count; i++)
                tails[first + i] = Head(logits.AsSpan(i * size, size), topIds.AsSpan((first + i) * top, top), topLogProbs.AsSpan((first + i) * top, top));
        }

        var starts = new long[requests.Length + 1];
        for (var i = 0; i < requests.Length; i++)
            starts[i + 1] = starts[i] + requests[i].Context.Length + requests[i].Continuation.Length;
        return new TeacherData(
            teacher.Name, teacher.TokenizerId, size, temperature, top,
            [.. requests.SelectMany(request => request.Context.ToArray().Concat(request.Continuation.ToArray())).Select(id => (long)id)], starts,
            [.. requests.Select(request => (long)request.Context.Length)], topIds, topLogProbs, tails);
    }

    /// <summary>The most probable tokens of a row (of equals the lower id first), and ln of the other tokens' mass.</summary>
    private static float Head(ReadOnlySpan<float> logits, Span<long> ids, Span<float> logProbs)
    {
        var total = RowMath.LogSumExp(logits);
        var heap = new PriorityQueue<int, (float, int)>(ids.Length);
        for (var id = 0; id < logits.Length; id++)
            if (heap.Count < ids.Length)
                heap.Enqueue(id, (logits[id], -id));
            else if (heap.TryPeek(out _, out var least) && (logits[id], -id).CompareTo(least) > 0)
                heap.EnqueueDequeue(id, (logits[id], -id));
        for (var place = ids.Length - 1; place >= 0; place--)
        {
            var id = heap.Dequeue();
            (ids[place], logProbs[place]) = (id, (float)(logits[id] - total));
        }

        if (ids.Length == logits.Length)
            return float.NegativeInfinity;
        // Summed over the tail itself: 1 minus the head would lose its digits where the head is nearly all.
        var tail = logits.ToArray();
        foreach (var id in ids)
            tail[id] = float.NegativeInfinity;
        return TensorPrimitives.Max<float>(tail) is float.NegativeInfinity ? float.NegativeInfinity : (float)(RowMath.LogSumExp<float>(tail) - total);
    }

    private static ScoreRequest Encode(EvaluatedModel teacher, string prompt, string text, int index)
    {
        try
        {
            return LoglikelihoodRequest.Encode(new BosEncoder(teacher.Encoder), prompt, text, teacher.Model.MaxLength - 1).ToScoreRequest();
        }
        catch (EvaluationException failure)
        {
            throw new InputException($"example {index + 1}: {failure.Message}", failure);
        }
    }
}
