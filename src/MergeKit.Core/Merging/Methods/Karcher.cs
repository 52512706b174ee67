using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Riemannian centre of mass of the models' directions on the sphere, with their mean length (Karcher 1977, "Riemannian center of mass
/// and mollifier smoothing"; iterated as in Buss and Fillmore 2001).</summary>
[MergeMethod]
public sealed class Karcher : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "karcher",
        "Averages the directions of several models on the sphere until the mean no longer moves, and gives the result their mean length.",
        [
            new ParameterDescription("max_iter", ParameterScope.Global, ParameterTypes.Integer, false, 10, "Most steps taken."),
            ParameterSet.Number("tol", 1e-5, "A step, an angle or a norm below this counts as zero."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "u_i = W_i / |W_i|; u from the mean of the u_i; repeat T = mean of (th_i / sin th_i)(u_i - cos(th_i) u) with th_i = angle(u, u_i), "
        + "u = cos|T| u + sin|T| T/|T|, until |T| < tol; R = (mean of |W_i|) u";

    /// <inheritdoc/>
    public override string Paper => "Karcher 1977, Riemannian center of mass and mollifier smoothing, Comm. Pure Appl. Math. 30";

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Get("max_iter") < 0)
            yield return $"max_iter is {job.Get("max_iter")}; 0 or more is wanted";
        if (job.Get("tol") < 0)
            yield return $"tol is {job.Get("tol")}; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var models = Enumerable.Range(0, inputs.Job.Sources.Count).ToArray();
        if (models.Length == 1)
            return (chunk, result) => chunk.Source(0).CopyTo(result);
        var (tol, steps) = (inputs.Job.Get("tol"), (int)inputs.Job.Get("max_iter"));
        var gram = GramMatrix.Of(inputs, models, -1);
        var length = models.Average(gram.Norm);
        return LinearCombination.Of(models, Array.ConvertAll(Direction(gram, tol, steps), share => length * share), -1);
    }

    /// <summary>The mean direction u as factors of the W_i; all zero when no model is longer than <paramref name="tol"/>.</summary>
    private static double[] Direction(GramMatrix gram, double tol, int steps)
    {
        var taking = Enumerable.Range(0, gram.Size).Where(i => gram.Norm(i) > tol).ToArray();
        var u = new double[gram.Size];
        foreach (var i in taking)
            u[i] = 1.0 / taking.Length / gram.Norm(i);
        if (taking.Length > 0 && gram.Length(u) < tol)
        {
            Array.Clear(u);
            u[taking[0]] = 1 / gram.Norm(taking[0]);
        }

        Normalize(gram, u, 0);
        for (var step = 0; step < steps && taking.Length > 0; step++)
        {
            var tangent = Tangent(gram, u, taking, tol);
            var length = gram.Length(tangent);
            if (length < tol || length == 0)
                break;
            for (var i = 0; i < u.Length; i++)
                u[i] = Math.Cos(length) * u[i] + Math.Sin(length) / length * tangent[i];
            Normalize(gram, u, tol);
        }

        return u;
    }

    private static double[] Tangent(GramMatrix gram, double[] u, int[] taking, double tol)
    {
        var tangent = new double[u.Length];
        foreach (var i in taking)
        {
            var cosine = Math.Clamp(gram.Product(i, u) / gram.Norm(i), -1, 1);
            var angle = Math.Acos(cosine);
            if (angle < tol || Math.Sin(angle) == 0)
                continue;
            var share = angle / Math.Sin(angle) / taking.Length;
            tangent[i] += share / gram.Norm(i);
            for (var j = 0; j < u.Length; j++)
                tangent[j] -= share * cosine * u[j];
        }

        return tangent;
    }

    private static void Normalize(GramMatrix gram, double[] u, double least)
    {
        var length = gram.Length(u);
        for (var i = 0; i < u.Length && length > least; i++)
            u[i] /= length;
    }
}
