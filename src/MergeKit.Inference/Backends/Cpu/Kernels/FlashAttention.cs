using System.Numerics.Tensors;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Attention in blocks of keys with a running softmax (arXiv 2205.14135); never holds a row of all scores.</summary>
internal static unsafe class FlashAttention
{
    private const int KeyBlock = 128;
    private const int QueryBlock = 32;

    /// <summary>Writes the attention of every query, [tokens, Heads x ValueDim] row-major.</summary>
    public static void Run(in AttentionShape shape, AttentionInputs inputs, Span<float> output, WorkerPool pool)
    {
        var (form, tasks) = (shape, new List<(AttentionSequence Sequence, int Head, int First)>());
        foreach (var sequence in inputs.Sequences)
            for (var first = 0; first < sequence.QueryLength; first += QueryBlock)
                for (var head = 0; head < shape.Heads; head++)
                    tasks.Add((sequence, head, first));
        fixed (float* start = output)
        {
            var at = (nint)start;
            pool.For(tasks.Count, (index, _) =>
            {
                var (sequence, head, first) = tasks[index];
                var scores = stackalloc float[KeyBlock];
                for (var query = first; query < Math.Min(first + QueryBlock, sequence.QueryLength); query++)
                    One(form, inputs, sequence, head, query, new Span<float>(scores, KeyBlock), (float*)at);
            });
        }
    }

    private static void One(in AttentionShape shape, AttentionInputs inputs, in AttentionSequence sequence, int head, int query, Span<float> scores, float* output)
    {
        var position = sequence.KeyLength - sequence.QueryLength + query;
        var end = shape.Causal ? position + 1 : sequence.KeyLength;
        var begin = shape.Window > 0 ? Math.Max(0, position - shape.Window + 1) : 0;
        var kvHead = head / (shape.Heads / shape.KvHeads);
        var row = sequence.QueryStart + query;
        var q = new ReadOnlySpan<float>((float*)inputs.Queries + (long)row * inputs.QueryStride + head * shape.HeadDim, shape.HeadDim);
        var result = new Span<float>(output + ((long)row * shape.Heads + head) * shape.ValueDim, shape.ValueDim);
        result.Clear();
        var (max, sum) = (float.NegativeInfinity, 0f);
        for (var start = begin; start < end; start += KeyBlock)
        {
            var block = scores[..Math.Min(KeyBlock, end - start)];
            Score(shape, inputs, q, (float*)sequence.Keys + kvHead * sequence.KeyHeadStride, sequence.KeyTokenStride, head, start, block);
            var blockMax = Math.Max(max, TensorPrimitives.Max(block));
            var rescale = MathF.Exp(max - blockMax);
            TensorPrimitives.Subtract(block, blockMax, block);
            TensorPrimitives.Exp(block, block);
            sum = sum * rescale + TensorPrimitives.Sum(block);
            if (rescale != 1)
                TensorPrimitives.Multiply(result, rescale, result);
            max = blockMax;
            var values = (float*)sequence.Values + kvHead * sequence.ValueHeadStride;
            for (var j = 0; j < block.Length; j++)
                TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(values + (long)(start + j) * sequence.ValueTokenStride, shape.ValueDim), block[j], result, result);
        }

        Finish(result, max, sum, inputs.Sinks?[head]);
    }

    private static void Score(
        in AttentionShape shape, AttentionInputs inputs, ReadOnlySpan<float> q, float* keys, int stride, int head, int start, Span<float> block)
    {
        for (var j = 0; j < block.Length; j++)
        {
            var score = shape.Scale * TensorPrimitives.Dot(q, new ReadOnlySpan<float>(keys + (long)(start + j) * stride, shape.HeadDim));
            if (shape.Softcap > 0)
                score = shape.Softcap * MathF.Tanh(score / shape.Softcap);
            if (inputs.AlibiSlopes is { } slopes)
                score += slopes[head] * (start + j);
            block[j] = score;
        }
    }

    private static void Finish(Span<float> result, float max, float sum, float? sink)
    {
        if (sink is { } logit)
        {
            var top = Math.Max(max, logit);
            var scale = MathF.Exp(max - top);
            TensorPrimitives.Multiply(result, scale / (sum * scale + MathF.Exp(logit - top)), result);
        }
        else if (sum > 0)
        {
            TensorPrimitives.Multiply(result, 1 / sum, result);
        }
    }
}
