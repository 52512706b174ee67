using System.Numerics.Tensors;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Spherical linear interpolation between the base and one other model (Shoemake 1985, "Animating rotation with quaternion curves").</summary>
[MergeMethod]
public sealed class Slerp : MergeMethod
{
    private const double Collinear = 0.9995;
    private const double SmallestNorm = 1e-8;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "slerp",
        "Interpolates between two models along the arc between their directions, tensor by tensor.",
        [ParameterSet.Number("t", null, "Position on the arc: 0 gives the base, 1 the other model.")]);

    /// <inheritdoc/>
    public override string Formula =>
        "A = base, B = other, th = angle(A, B): R = (sin((1-t) th) A + sin(t th) B) / sin th; (1-t) A + t B where |cos th| > 0.9995";

    /// <inheritdoc/>
    public override string Paper => "Shoemake 1985, Animating rotation with quaternion curves, SIGGRAPH";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, 2);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override MergeFormula AsFormula(TensorJob job, ulong seed) =>
        job.Sources.Count == 1 ? new WeightedSum([1], 1) : new Arc(job.BaseIndex, 1 - job.BaseIndex, job.Get("t"));

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var job = inputs.Job;
        if (job.Sources.Count == 1)
            return (chunk, result) => chunk.Source(0).CopyTo(result);
        var (a, b) = (job.BaseIndex, 1 - job.BaseIndex);
        var sums = inputs.Sum(3, (chunk, offset, length, sum) =>
        {
            var x = chunk.Source(a).Slice(offset, length);
            var y = chunk.Source(b).Slice(offset, length);
            sum[0] = TensorMath.Dot(x, y);
            sum[1] = TensorMath.Dot(x, x);
            sum[2] = TensorMath.Dot(y, y);
        });
        var (shareA, shareB) = Shares(job.Get("t"), sums);
        return (chunk, result) =>
        {
            TensorPrimitives.Multiply(chunk.Source(a), shareA, result);
            TensorPrimitives.MultiplyAdd(chunk.Source(b), shareB, result, result);
        };
    }

    /// <summary>The factors of A and B as float32, from A B, A A and B B.</summary>
    internal static (float A, float B) Shares(double t, ReadOnlySpan<double> products)
    {
        var (a, b) = Shares(t, products[0], Math.Sqrt(products[1]), Math.Sqrt(products[2]));
        return ((float)a, (float)b);
    }

    /// <summary>The factors of A and B. A vector shorter than 1e-8 is not scaled to length one before the angle is taken.</summary>
    internal static (double A, double B) Shares(double t, double dot, double normA, double normB)
    {
        var cosine = dot / (normA > SmallestNorm ? normA : 1) / (normB > SmallestNorm ? normB : 1);
        if (Math.Abs(cosine) > Collinear)
            return (1 - t, t);
        var angle = Math.Acos(cosine);
        return (Math.Sin((1 - t) * angle) / Math.Sin(angle), Math.Sin(t * angle) / Math.Sin(angle));
    }
}
