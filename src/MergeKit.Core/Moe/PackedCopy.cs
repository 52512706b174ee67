using System.Numerics.Tensors;
using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe;

/// <summary>Copies the matrices of all experts into one tensor, each with a factor and noise of its own.</summary>
internal sealed class PackedCopy : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new("packed_copy", "Puts the experts' matrices one after the other.", []);

    /// <inheritdoc/>
    public override string Formula => "R_e = scale_e (W_e + noise_scale_e Z)";

    /// <inheritdoc/>
    public override string Paper => "none";

    /// <summary>The parameters of a job: factor and noise of each expert.</summary>
    public static Dictionary<string, double> Parameters(IReadOnlyList<(double Scale, double Noise)> experts)
    {
        var parameters = new Dictionary<string, double>(StringComparer.Ordinal) { ["experts"] = experts.Count };
        foreach (var (index, (scale, noise)) in experts.Index())
        {
            if (scale != 1)
                parameters[$"scale.{index}"] = scale;
            if (noise != 0)
                parameters[$"noise_scale.{index}"] = noise;
        }

        return parameters;
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, size) = (inputs.Job, inputs.Count / (long)inputs.Job.Get("experts"));
        var gaussian = new CounterGaussian(inputs.Seed, job.Name, 0);
        return (chunk, result) =>
        {
            chunk.Source(0).CopyTo(result);
            for (var at = 0; at < result.Length;)
            {
                var (expert, inside) = Math.DivRem(chunk.Start + at, size);
                var part = result.Slice(at, (int)Math.Min(result.Length - at, size - inside));
                Change(part, (float)Value(job, "scale", expert, 1), (float)Value(job, "noise_scale", expert, 0), gaussian, chunk.Start + at, chunk.Scratch(0));
                at += part.Length;
            }
        };
    }

    private static void Change(Span<float> part, float scale, float noise, CounterGaussian gaussian, long start, Span<float> scratch)
    {
        if (noise != 0)
        {
            var normal = scratch[..part.Length];
            gaussian.Fill(start, normal);
            TensorPrimitives.MultiplyAdd(normal, noise, part, part);
        }

        if (scale != 1)
            TensorPrimitives.Multiply(part, scale, part);
    }

    private static double Value(TensorJob job, string name, long expert, double otherwise) => job.Parameters.GetValueOrDefault($"{name}.{expert}", otherwise);
}
