using MergeKit.Core.Architectures;
using MergeKit.Core.Merging;

namespace MergeKit.Core.Moe.Planning;

/// <summary>The jobs that make an expert of a dense model's feed-forward block.</summary>
internal static class ExpertTensors
{
    private static readonly TensorRole[] Roles = [TensorRole.MlpGate, TensorRole.MlpUp, TensorRole.MlpDown];
    private static readonly NoisyCopy Noisy = new();

    /// <summary>A matrix under another name, with the expert's noise and, on the way out, its factor.</summary>
    public static TensorJob Of(Recipes.ExpertSpec expert, TensorJob job, TensorRole role, string name)
    {
        var (scale, noise) = Change(expert, role);
        if (scale == 1 && noise == 0)
            return job with { Name = name };
        var parameters = new Dictionary<string, double>(StringComparer.Ordinal) { ["scale"] = scale };
        if (noise != 0)
            parameters["noise_scale"] = noise;
        return job with { Name = name, Method = noise != 0 ? Noisy : job.Method, Sources = [job.Sources[0] with { Parameters = parameters }] };
    }

    /// <summary>Factor and noise of an expert's matrix.</summary>
    public static (double Scale, double Noise) Change(Recipes.ExpertSpec expert, TensorRole role) =>
        (role == TensorRole.MlpDown ? expert.ResidualScale ?? 1 : 1, expert.NoiseScale ?? 0);

    /// <summary>An expert's matrices under the names that the backbone's own have.</summary>
    public static IEnumerable<TensorJob> Dense(Recipes.ExpertSpec expert, DensePart part, DensePart backbone, IReadOnlyList<int> layers) =>
        from layer in layers
        from role in Roles
        let job = part.Mlp(layer, role)
        where job is not null
        select Of(expert, job, role, backbone.MlpName(layer, role));
}
