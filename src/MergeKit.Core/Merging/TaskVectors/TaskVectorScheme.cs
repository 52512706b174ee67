using System.Numerics.Tensors;
using MergeKit.Core.Merging.Methods;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>How a task vector is thinned out before it is added.</summary>
public enum Trim
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>The largest magnitudes stay.</summary>
    Magnitude,

    /// <summary>Each entry stays with a fixed probability.</summary>
    Random,

    /// <summary>The largest magnitudes (outliers) go, and so many of the smallest that the density is met.</summary>
    Outliers,

    /// <summary>Each entry stays with a probability that rises with its rank within its row.</summary>
    Ranked,
}

/// <summary>The scheme that all task-vector methods share: D_i = W_i - W_b; trim; rescale; E_i = w_i D_i; sign consensus; sum; normalize;
/// times lambda; add the base. A method is a choice of trimming, consensus and defaults.</summary>
/// <param name="Trim">How task vectors are thinned out.</param>
/// <param name="Consensus">Whether only entries with the majority's sign are added.</param>
/// <param name="Normalize">Default of the parameter <c>normalize</c>.</param>
/// <param name="Rescale">Default of the parameter <c>rescale</c>.</param>
public sealed record TaskVectorScheme(Trim Trim, bool Consensus, bool Normalize, bool Rescale)
{
    private const double SmallestSum = 1e-7;
    private const double SmallestDivisor = 1e-8;

    /// <summary>The method's description with the scheme's parameters.</summary>
    public MethodDescription Describe(string name, string summary) => new(name, summary,
    [
        ParameterSet.Weight,
        ParameterSet.PerModel("density", 1.0, "Share of the task vector's entries that stay."),
        .. Trim == Trim.Outliers ? [ParameterSet.PerModel("gamma", 0.01, "Share of the largest entries that go first.")] : Array.Empty<ParameterDescription>(),
        .. Trim == Trim.Ranked ? [ParameterSet.PerModel("epsilon", 0.15, "Probabilities run from density - epsilon to density + epsilon.")] : Array.Empty<ParameterDescription>(),
        ParameterSet.Flag("normalize", Normalize, "Divide by the sum of the weights that were added."),
        ParameterSet.Flag("rescale", Rescale, "After trimming, scale each task vector back to its L1 norm."),
        ParameterSet.Number("lambda", 1.0, "Factor for the merged task vector."),
        ParameterSet.Flag("int8_mask", false, "Accepted for mergekit's sake; saves nothing here and changes nothing."),
    ]);

    /// <summary>Finds fault with densities.</summary>
    public IEnumerable<string> Check(TensorJob job)
    {
        foreach (var i in job.Others)
        {
            var density = job.Get(i, "density");
            if (density < 0)
                yield return $"the density of {job.Sources[i].Model} is {density}; 0 to 1 is wanted";
            else if (Trim == Trim.Magnitude && density < 1 && job.Count > 0 && Keep(density, job.Count) == 0)
                yield return $"density {density} of {job.Sources[i].Model} keeps none of its {job.Count} elements";
            else if (Trim == Trim.Outliers && job.Get(i, "gamma") is < 0 or > 1)
                yield return $"gamma of {job.Sources[i].Model} is {job.Get(i, "gamma")}; 0 to 1 is wanted";
            else if (Trim == Trim.Ranked && density is > 0 and < 1 && job.Get(i, "epsilon") is var epsilon && !(epsilon >= 0 && density - epsilon > 0 && density + epsilon < 1))
                yield return $"epsilon {epsilon} of {job.Sources[i].Model} does not go with density {density}: density - epsilon must be above 0 and density + epsilon below 1";
        }
    }

    /// <summary>Bytes that trimming holds while a tensor is made.</summary>
    public long WorkingBytes(TensorJob job, int threads) =>
        Trim == Trim.Ranked ? RankedTrim.WorkingBytes(job, job.Others.Count(i => job.Get(i, "density") < 1), threads) : 0;

    /// <summary>How many of n elements a density keeps: floor(density n), in double precision.</summary>
    public static long Keep(double density, long count) => (long)(density * count);

    /// <summary>What is done to a tensor, as data.</summary>
    public TaskVectorSum AsFormula(TensorJob job, ulong seed)
    {
        var total = job.Others.Select(i => (float)job.Get(i, "weight")).Sum();
        var normalize = job.Is("normalize");
        return new TaskVectorSum(
            job.BaseIndex, [.. job.Others.Select(i => new TaskVectorPart(i, job.Get(i, "weight"), TrimOf(job, i, seed)))], Consensus, normalize, job.Is("rescale"),
            !normalize || Math.Abs(total) < SmallestDivisor ? 1 : total, (float)job.Get("lambda"));
    }

    /// <summary>The passes over the tensor, and the elementwise step.</summary>
    public ChunkCombiner Prepare(TensorInputs inputs)
    {
        var formula = AsFormula(inputs.Job, inputs.Seed);
        var models = formula.Parts.Select(part => part.Source).ToArray();
        var trimmers = MakeTrimmers(inputs, models);
        var factors = formula.Rescale ? RescaleFactors(inputs, models, trimmers) : [.. models.Select(_ => 1.0)];
        var weights = formula.Parts.Select(part => (float)part.Weight).ToArray();
        var scales = formula.Parts.Select((part, at) => (float)(part.Weight * factors[at])).ToArray();
        return (chunk, result) =>
        {
            var origin = chunk.Source(formula.BaseIndex);
            for (var at = 0; at < models.Length; at++)
                Trimmed(chunk, origin, models[at], trimmers[at]);
            if (Consensus)
                SignConsensus.Merge(chunk, models, scales, formula.Normalize ? weights : null, result);
            else
                Sum(chunk, models, scales, formula.Divisor, result);
            TensorPrimitives.MultiplyAdd(result, formula.Lambda, origin, result);
        };
    }

    private EntryTrim TrimOf(TensorJob job, int source, ulong seed)
    {
        var (density, count) = (job.Get(source, "density"), job.Count);
        if (Trim == Trim.None || count == 0 || density >= 1)
            return new EntryTrim(TrimRule.Everything);
        switch (Trim)
        {
            case Trim.Random:
                return new EntryTrim(TrimRule.Random) { Key = new CounterRandom(seed, job.Name, source).Key, Below = Trimmer.Bound(density) };
            case Trim.Outliers:
                var (bottom, top) = OutlierTrim.Counts(density, job.Get(source, "gamma"), count);
                return new EntryTrim(bottom + top >= count ? TrimRule.Nothing : TrimRule.Ranks) { DropSmallest = bottom, DropLargest = top };
            case Trim.Ranked:
                return new EntryTrim(density > 0 ? TrimRule.RowRanks : TrimRule.Nothing)
                { Key = new CounterRandom(seed, job.Name, source).Key, Density = density, Epsilon = job.Get(source, "epsilon") };
            default:
                return new EntryTrim(TrimRule.Ranks) { DropSmallest = count - Keep(density, count), LowestIndexStays = true };
        }
    }

    private Trimmer[] MakeTrimmers(TensorInputs inputs, int[] models)
    {
        var job = inputs.Job;
        var trimmers = models.Select(_ => Trimmer.Nothing).ToArray();
        if (Trim == Trim.None || job.Count == 0)
            return trimmers;
        var thinned = models.Where(i => job.Get(i, "density") < 1).ToArray();
        var made = Trim switch
        {
            Trim.Random => [.. thinned.Select(i => Trimmer.Random(inputs.RandomFor(i), job.Get(i, "density")))],
            Trim.Outliers => OutlierTrim.Make(inputs, [.. thinned.Select(i => (i, job.Get(i, "density"), job.Get(i, "gamma")))]),
            Trim.Ranked => RankedTrim.Make(inputs, [.. thinned.Select(i => new RankedTrim.Wanted(i, job.Get(i, "density"), job.Get(i, "epsilon")))]),
            _ => MagnitudeCut.Find(inputs, [.. thinned.Select(i => (i, Keep(job.Get(i, "density"), job.Count)))]).Select(Trimmer.Magnitude).ToArray(),
        };
        for (var i = 0; i < thinned.Length; i++)
            trimmers[Array.IndexOf(models, thinned[i])] = made[i];
        return trimmers;
    }

    /// <summary>sum|D| / sum|trimmed D| per model; 1 where either sum is below 1e-7, or where nothing was trimmed.</summary>
    private static double[] RescaleFactors(TensorInputs inputs, int[] models, Trimmer[] trimmers)
    {
        var factors = models.Select(_ => 1.0).ToArray();
        var active = Enumerable.Range(0, models.Length).Where(at => trimmers[at] != Trimmer.Nothing).ToArray();
        if (active.Length == 0)
            return factors;
        var baseIndex = inputs.Job.BaseIndex;
        var sums = inputs.Sum(2 * active.Length, (chunk, offset, length, sum) =>
        {
            for (var i = 0; i < active.Length; i++)
            {
                var delta = chunk.Source(models[active[i]]).Slice(offset, length);
                TensorPrimitives.Subtract(delta, chunk.Source(baseIndex).Slice(offset, length), delta);
                sum[2 * i] = TensorMath.SumOfMagnitudes(delta);
                trimmers[active[i]].Apply(delta, chunk.Start + offset, chunk.Scratch(0)[..length]);
                sum[2 * i + 1] = TensorMath.SumOfMagnitudes(delta);
            }
        });
        for (var i = 0; i < active.Length; i++)
            if (sums[2 * i] >= SmallestSum && sums[2 * i + 1] >= SmallestSum)
                factors[active[i]] = sums[2 * i] / sums[2 * i + 1];
        return factors;
    }

    private static void Trimmed(Chunk chunk, ReadOnlySpan<float> origin, int model, Trimmer trimmer)
    {
        var delta = chunk.Source(model);
        TensorPrimitives.Subtract(delta, origin, delta);
        trimmer.Apply(delta, chunk.Start, chunk.Scratch(0));
    }

    private static void Sum(Chunk chunk, int[] models, float[] scales, float divisor, Span<float> result)
    {
        if (models.Length == 0)
            result.Clear();
        else
            TensorPrimitives.Multiply(chunk.Source(models[0]), scales[0], result);
        for (var at = 1; at < models.Length; at++)
            TensorPrimitives.MultiplyAdd(chunk.Source(models[at]), scales[at], result, result);
        if (divisor != 1)
            TensorPrimitives.Divide(result, divisor, result);
    }
}
