using System.Numerics.Tensors;
using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Takes from the other model the elements whose change matters most: difference times the divergence of their rows' softmax
/// distributions, above a threshold from the quartiles (Arcee AI 2025, MergeKit v0.1, "Arcee Fusion").</summary>
[MergeMethod]
public sealed class ArceeFusion : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "arcee_fusion",
        "Takes the other model's elements where their difference, weighed by how much their row's softmax changed, is unusually large.",
        []);

    /// <inheritdoc/>
    public override string Formula =>
        "per row p = softmax(V) + 1e-8, q = softmax(W_b) + 1e-8, KL = sum p log(p/q); I = |V - W_b| KL; Q(x) = ascending I at floor(x (N-1)); "
        + "R = V where I >= Q(1/2) + 1.5 (Q(3/4) - Q(1/4)), else W_b";

    /// <inheritdoc/>
    public override string Paper => "none; Arcee AI 2025, Meet MergeKit v0.1: Arcee Fusion, expanded model support, multi-GPU acceleration";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, 2);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => job.Count == 0 ? 0
        : TensorLines.RowBytes(job, TensorLines.Columns(job.Shape), RowSoftmax.Width) * 2;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var job = inputs.Job;
        if (job.Sources.Count == 1 || job.Count == 0)
            return (chunk, result) => chunk.Source(0).CopyTo(result);
        var (other, baseIndex, columns) = (job.Others[0], job.BaseIndex, TensorLines.Columns(job.Shape));
        var divergence = Array.ConvertAll(RowSoftmax.Divergence(inputs, columns, other, baseIndex), value => (float)Math.Max(0, value));
        void Importance(Chunk chunk) => Weigh(chunk, other, baseIndex, divergence, columns);
        var ranks = Array.ConvertAll([0.25, 0.5, 0.75], x => job.Count - (long)(x * (job.Count - 1)));
        var quartiles = MagnitudeCut.Find(inputs, [.. ranks.Select(rank => CutTarget.OfValues(Importance, rank, CutSide.Value))]);
        var threshold = quartiles[1].Value + 1.5 * ((double)quartiles[2].Value - quartiles[0].Value);
        return (chunk, result) =>
        {
            Importance(chunk);
            var importance = chunk.Scratch(0);
            var changed = chunk.Source(other);
            var kept = chunk.Source(baseIndex);
            for (var i = 0; i < result.Length; i++)
                result[i] = importance[i] >= threshold ? changed[i] : kept[i];
        };
    }

    /// <summary>I of the formula, into scratch row 0.</summary>
    private static void Weigh(Chunk chunk, int other, int baseIndex, float[] divergence, long columns)
    {
        var importance = chunk.Scratch(0);
        TensorPrimitives.Subtract(chunk.Source(other), chunk.Source(baseIndex), importance);
        TensorPrimitives.Abs(importance, importance);
        for (var offset = 0; offset < chunk.Length;)
        {
            var row = (chunk.Start + offset) / columns;
            var length = (int)Math.Min((row + 1) * columns - chunk.Start - offset, chunk.Length - offset);
            TensorPrimitives.Multiply(importance.Slice(offset, length), divergence[row], importance.Slice(offset, length));
            offset += length;
        }
    }
}
