using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Which tokens of a model have been trained (Land and Bartolo 2024, "Fishing for Magikarp", section 3): not those without a token's text, or called unused or
/// reserved; not the twentieth with the smallest rows in the embedding, where there is a head of its own; not the twentieth whose rows in embedding or head point
/// most in the direction of the mean of unused rows, where there are some.</summary>
internal static class WellTrainedTokens
{
    private const double Share = 0.05;
    private static readonly string[] UnusedNames = ["unused_token", "reserved_special_token"];

    /// <summary>The rows of well trained tokens; null where the model has no embedding that is known.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="limit">Rows that may be tokens.</param>
    /// <param name="countsTied">Whether a head that is tied to the embedding counts as a head.</param>
    public static HashSet<int>? Of(LoadedModel model, Tokenizer tokenizer, int limit, bool countsTied)
    {
        if (Matrix(model, TensorRole.Embedding, false) is not { } embedding)
            return null;
        var head = Matrix(model, TensorRole.Head, countsTied);
        var rows = checked((int)embedding.Shape[0]);
        var tokens = tokenizer.Vocabulary.Where(pair => pair.Value < Math.Min(rows, limit)).ToList();
        var unused = Enumerable.Range(0, rows).Except(tokens.Select(pair => pair.Value))
            .Concat(tokens.Where(pair => UnusedNames.Any(name => pair.Key.Contains(name, StringComparison.Ordinal))).Select(pair => pair.Value)).ToHashSet();
        var bad = new HashSet<int>(unused);
        var embedded = model.Checkpoint.ReadAll(embedding);
        if (head is not null)
            bad.UnionWith(Below(Norms(embedded, rows)));
        if (unused.Count > 0)
            foreach (var values in head is null ? [embedded] : new[] { embedded, model.Checkpoint.ReadAll(head) })
                bad.UnionWith(Above(Similarities(values, rows, unused)));
        return [.. tokens.Select(pair => pair.Value).Where(row => !bad.Contains(row))];
    }

    private static TensorInfo? Matrix(LoadedModel model, TensorRole role, bool countsTied)
    {
        if (model.Weights.FirstOrDefault(weight => weight.Role == role && weight.Layer is null) is not { } weight)
            return null;
        return model.Find(weight, null) ?? (countsTied && weight.TiedTo is { } tied ? model.Checkpoint.Find(tied) : null);
    }

    private static double[] Norms(float[] values, int rows) => [.. Enumerable.Range(0, rows).Select(row => Math.Sqrt(Numerics.TensorMath.Dot(Row(values, rows, row), Row(values, rows, row))))];

    /// <summary>The cosine between each row and the mean of the unused ones.</summary>
    private static double[] Similarities(float[] values, int rows, HashSet<int> unused)
    {
        var mean = new float[values.Length / rows];
        foreach (var row in unused.Where(row => row < rows))
            TensorPrimitives.MultiplyAdd(Row(values, rows, row), 1f / unused.Count, mean, mean);
        var length = Math.Sqrt(Numerics.TensorMath.Dot(mean, mean));
        var norms = Norms(values, rows);
        return [.. Enumerable.Range(0, rows).Select(row => Numerics.TensorMath.Dot(Row(values, rows, row), mean) / Math.Max(1e-8, norms[row] * length))];
    }

    private static IEnumerable<int> Below(double[] values) => Quantile(values, Share) is var limit ? Enumerable.Range(0, values.Length).Where(i => values[i] < limit) : [];

    private static IEnumerable<int> Above(double[] values) => Quantile(values, 1 - Share) is var limit ? Enumerable.Range(0, values.Length).Where(i => values[i] > limit) : [];

    /// <summary>Between the two nearest values in proportion.</summary>
    private static double Quantile(double[] values, double share)
    {
        var (sorted, at) = (values.Order().ToArray(), share * (values.Length - 1));
        var (low, high) = (sorted[(int)Math.Floor(at)], sorted[(int)Math.Ceiling(at)]);
        return low + (at - Math.Floor(at)) * (high - low);
    }

    private static ReadOnlySpan<float> Row(float[] values, int rows, int row) => values.AsSpan(row * (values.Length / rows), values.Length / rows);
}
