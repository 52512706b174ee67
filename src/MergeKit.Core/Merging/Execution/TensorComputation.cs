using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Takes a finished range of a tensor in its output type. Called from many threads, each range once.</summary>
/// <param name="start">Index of the range's first element.</param>
/// <param name="bytes">The encoded elements; valid during the call.</param>
internal delegate void EncodedRange(long start, ReadOnlySpan<byte> bytes);

/// <summary>Makes one output tensor: the method's passes over the whole, then chunk by chunk combined, rounded once, and handed on. Whoever
/// takes the ranges, a file or memory, gets the same bits.</summary>
internal static class TensorComputation
{
    /// <summary>Elements that are combined, rounded and checked at a time: a few rows of them stay in the first-level cache.</summary>
    private const int PartElements = 2048;

    /// <summary>Makes the tensor; returns how many elements are not finite.</summary>
    public static long Make(TensorJob job, ulong seed, Worker worker, EncodedRange take)
    {
        var inputs = new TensorInputs(job, seed, worker);
        var combine = job.Method.Prepare(inputs);
        var (notFinite, size) = (0L, job.OutputType.Size());
        inputs.ForEachChunk(chunk =>
        {
            var bytes = chunk.Bytes[..(chunk.Length * size)];
            var bad = 0L;
            for (var at = 0; at < chunk.Length; at += PartElements)
            {
                var part = chunk.Part(at, Math.Min(PartElements, chunk.Length - at));
                var result = part.Result;
                combine(part, result);
                TensorCodec.Encode(job.OutputType, result, bytes.Slice(at * size, result.Length * size));
                bad += CountNotFinite(result);
            }

            take(chunk.Start, bytes);
            if (bad > 0)
                Interlocked.Add(ref notFinite, bad);
        });
        return notFinite;
    }

    private static long CountNotFinite(ReadOnlySpan<float> values)
    {
        var exponent = Vector512.Create(0x7F800000u);
        ref var from = ref MemoryMarshal.GetReference(MemoryMarshal.Cast<float, uint>(values));
        var (count, i) = (0L, 0);
        for (; i <= values.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
            count += BitOperations.PopCount(Vector512.Equals(Vector512.LoadUnsafe(ref from, (nuint)i) & exponent, exponent).ExtractMostSignificantBits());
        for (; i < values.Length; i++)
            count += float.IsFinite(values[i]) ? 0 : 1;
        return count;
    }
}
