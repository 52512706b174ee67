using MergeKit.Core.Architectures;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Moe.Planning;

/// <summary>A dense model in a mixture: the jobs that would copy (or make) it, by name and by what they are for.</summary>
internal sealed class DensePart
{
    private static readonly TensorRole[] MlpRoles = [TensorRole.MlpGate, TensorRole.MlpUp, TensorRole.MlpDown];
    private readonly Dictionary<string, TensorJob> _jobs;
    private readonly Dictionary<(int Layer, TensorRole Role), string> _mlp = [];

    public DensePart(LoadedModel model, IReadOnlyList<TensorJob> jobs)
    {
        (Model, Jobs) = (model, jobs);
        _jobs = jobs.ToDictionary(job => job.Name, StringComparer.Ordinal);
        foreach (var weight in model.Weights.Where(weight => weight.Layer is not null && MlpRoles.Contains(weight.Role)))
            _mlp[(weight.Layer!.Value, weight.Role)] = weight.Name;
    }

    /// <summary>The model whose names the jobs have.</summary>
    public LoadedModel Model { get; }

    /// <summary>All jobs.</summary>
    public IReadOnlyList<TensorJob> Jobs { get; }

    /// <summary>The job of that name, or null.</summary>
    public TensorJob? Find(string name) => _jobs.GetValueOrDefault(name);

    /// <summary>A feed-forward matrix of a layer, or null.</summary>
    public TensorJob? Mlp(int layer, TensorRole role) => _mlp.TryGetValue((layer, role), out var name) ? Find(name) : null;

    /// <summary>The name of a feed-forward matrix of a layer.</summary>
    public string MlpName(int layer, TensorRole role) => _mlp[(layer, role)];

    /// <summary>Whether a name is that of a feed-forward matrix.</summary>
    public bool IsMlp(string name) => _mlp.ContainsValue(name);

    /// <summary>The feed-forward matrices that stand for an expert's.</summary>
    public static TensorRole RoleOf(TensorRole expert) => expert switch
    {
        TensorRole.ExpertGate or TensorRole.SharedExpertGate => TensorRole.MlpGate,
        TensorRole.ExpertUp or TensorRole.SharedExpertUp => TensorRole.MlpUp,
        TensorRole.ExpertDown or TensorRole.SharedExpertDown => TensorRole.MlpDown,
        _ => throw new ArgumentOutOfRangeException(nameof(expert), expert, null),
    };
}
