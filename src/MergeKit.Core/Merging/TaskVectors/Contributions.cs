using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>RAM's merging: a model contributes to an element where its task vector exceeds epsilon there; shared elements are averaged over the
/// contributors, those of one model alone are taken whole, perhaps amplified.</summary>
internal static class Contributions
{
    /// <summary>Turns the models' rows into contributions: W_i - O where its magnitude exceeds epsilon, else 0. Scratch row 0 becomes the
    /// number of contributors per element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Find(Chunk chunk, int[] models, int baseIndex, float epsilon)
    {
        var counts = chunk.Scratch(0);
        counts.Clear();
        foreach (var model in models)
        {
            var delta = chunk.Source(model);
            TensorPrimitives.Subtract(delta, chunk.Source(baseIndex), delta);
            ref var entry = ref MemoryMarshal.GetReference(delta);
            ref var count = ref MemoryMarshal.GetReference(counts);
            var i = 0;
            for (; i <= delta.Length - Vector512<float>.Count; i += Vector512<float>.Count)
            {
                var value = Vector512.LoadUnsafe(ref entry, (nuint)i);
                var counted = Vector512.GreaterThan(Vector512.Abs(value), Vector512.Create(epsilon));
                (value & counted).StoreUnsafe(ref entry, (nuint)i);
                (Vector512.LoadUnsafe(ref count, (nuint)i) + (Vector512<float>.One & counted)).StoreUnsafe(ref count, (nuint)i);
            }

            for (; i < delta.Length; i++)
                (delta[i], counts[i]) = Math.Abs(delta[i]) > epsilon ? (delta[i], counts[i] + 1) : (0, counts[i]);
        }
    }

    /// <summary>W_b + sum of the contributions / their number, a lone contribution times its model's factor.</summary>
    /// <param name="chunk">What <see cref="Find"/> left.</param>
    /// <param name="models">The rows that take part.</param>
    /// <param name="baseIndex">The base's row.</param>
    /// <param name="factors">Factors for lone contributions; null: 1.</param>
    /// <param name="result">The merged tensor. Scratch row 1 is used.</param>
    public static void Merge(Chunk chunk, int[] models, int baseIndex, float[]? factors, Span<float> result)
    {
        var counts = chunk.Scratch(0);
        result.Clear();
        for (var at = 0; at < models.Length; at++)
        {
            var delta = chunk.Source(models[at]);
            if (factors is not null && factors[at] != 1)
                for (var i = 0; i < delta.Length; i++)
                    delta[i] = counts[i] == 1 ? delta[i] * factors[at] : delta[i];
            TensorPrimitives.Add(result, delta, result);
        }

        TensorPrimitives.Max(counts, 1f, counts);
        TensorPrimitives.Divide(result, counts, result);
        TensorPrimitives.Add(result, chunk.Source(baseIndex), result);
    }

    /// <summary>Per model: the elements it contributes to with others, and those it contributes to alone.</summary>
    public static (double Shared, double Lone)[] Count(TensorInputs inputs, int[] models, float epsilon)
    {
        var sums = inputs.Sum(2 * models.Length, (chunk, offset, length, sum) =>
        {
            var part = chunk.Part(offset, length);
            Find(part, models, inputs.Job.BaseIndex, epsilon);
            var counts = part.Scratch(0);
            for (var at = 0; at < models.Length; at++)
            {
                var delta = part.Source(models[at]);
                var (shared, lone) = (0, 0);
                for (var i = 0; i < delta.Length; i++)
                {
                    shared += delta[i] != 0 && counts[i] > 1 ? 1 : 0;
                    lone += delta[i] != 0 && counts[i] == 1 ? 1 : 0;
                }

                (sum[2 * at], sum[2 * at + 1]) = (shared, lone);
            }
        });
        return [.. models.Select((_, at) => (sums[2 * at], sums[2 * at + 1]))];
    }
}
