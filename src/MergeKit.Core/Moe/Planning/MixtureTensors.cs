using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Planning;

/// <summary>The output tensors of a mixture, one by one.</summary>
internal sealed class MixtureTensors(
    Mixture mixture, MoeFormat format, NetworkSpec network, DensePart backbone, IReadOnlyList<(ExpertSpec Spec, DensePart Part)> experts,
    IReadOnlyList<(ExpertSpec Spec, DensePart Part)> shared, DType type, string specification)
{
    private static readonly IReadOnlyDictionary<string, double> Unscaled = new Dictionary<string, double> { ["scale"] = 1 };
    private static readonly IReadOnlyDictionary<string, double> None = new Dictionary<string, double>();
    private static readonly PackedCopy Packed = new();
    private readonly GroupedProblems _grouped = new();
    private readonly HashSet<string> _placed = new(StringComparer.Ordinal);
    private readonly List<(GateSource Source, string Name)> _gates = [];

    /// <summary>What was found wrong.</summary>
    public IEnumerable<Problem> Problems => _grouped.Summaries();

    /// <summary>The jobs in the order of the output's tensors.</summary>
    public List<TensorJob> Jobs(IEnumerable<WeightSpec> weights)
    {
        var jobs = weights.SelectMany(Job).ToList();
        foreach (var left in backbone.Jobs.Where(job => !_placed.Contains(job.Name) && !backbone.IsMlp(job.Name)))
            _grouped.Add($"'{backbone.Model}' has a tensor that {format.Name} has no place for", left.Name);
        mixture.Gates = [.. _gates.Select(gate => gate.Source)];
        mixture.GateNames = [.. _gates.Select(gate => gate.Name)];
        return jobs;
    }

    private bool IsPacked => mixture.Settings.Layout == ExpertStorage.Packed;

    private IEnumerable<TensorJob> Job(WeightSpec weight) => weight.Role switch
    {
        TensorRole.Router => [Gate(weight, GateRole.Router, IsPacked ? weight.AllNames.Last() : weight.Name)],
        TensorRole.RouterCorrection => [Gate(weight, GateRole.Correction, weight.Name)],
        TensorRole.SharedExpertRouter => [Gate(weight, GateRole.SharedGate, weight.Name)],
        TensorRole.ExpertGate or TensorRole.ExpertUp or TensorRole.ExpertDown when IsPacked => PackedExperts(weight),
        TensorRole.ExpertGate or TensorRole.ExpertUp or TensorRole.ExpertDown => Expert(weight),
        TensorRole.SharedExpertGate or TensorRole.SharedExpertUp or TensorRole.SharedExpertDown => Shared(weight),
        _ => Rest(weight),
    };

    private TensorJob Gate(WeightSpec weight, GateRole role, string name)
    {
        var source = new GateSource(mixture, role, weight.Layer!.Value, (int)weight.Shape![0], weight.Shape.Count > 1 ? (int)weight.Shape[1] : 1, specification);
        _gates.Add((source, name));
        return new TensorJob(name, weight.Shape, type, MethodCatalog.Find("passthrough")!, [new JobSource("gates", source, false, Unscaled)], None) { Layer = weight.Layer };
    }

    private IEnumerable<TensorJob> Expert(WeightSpec weight)
    {
        var (spec, part) = experts[weight.Expert!.Value];
        return Found(spec, part, weight, weight.Shape!) is { } job ? [Typed(ExpertTensors.Of(spec, job, DensePart.RoleOf(weight.Role), weight.Name), weight)] : [];
    }

    /// <summary>Both tensors of a layer at its first expert's gate; nothing elsewhere.</summary>
    private IEnumerable<TensorJob> PackedExperts(WeightSpec weight)
    {
        if (weight.Expert != 0 || weight.Role != TensorRole.ExpertGate)
            yield break;
        var packed = network.Layers[weight.Layer!.Value].Moe!.Packed;
        foreach (var (tensor, roles) in ((TensorSpec, TensorRole[])[])[(packed.GateUp, [TensorRole.ExpertGate, TensorRole.ExpertUp]), (packed.Down, [TensorRole.ExpertDown])])
        {
            var parts = new List<ITensorSource>();
            foreach (var (spec, part) in experts)
                foreach (var role in roles)
                    if (Found(spec, part, weight with { Role = role, Name = tensor.Name }, [tensor.Shape[1] / roles.Length, tensor.Shape[2]]) is { } job)
                        parts.Add(job.Sources[0].Data);
            if (parts.Count < experts.Count * roles.Length)
                continue;
            var parameters = PackedCopy.Parameters([.. experts.Select(expert => ExpertTensors.Change(expert.Spec, DensePart.RoleOf(roles[0])))]);
            yield return new TensorJob(tensor.Name, tensor.Shape, type, Packed, [new JobSource("experts", new StackedSource(parts), false, None)], parameters) { Layer = weight.Layer };
        }
    }

    /// <summary>One shared expert as it is; several as one that is as wide as all of them, which gives the sum of their outputs.</summary>
    private IEnumerable<TensorJob> Shared(WeightSpec weight)
    {
        var role = DensePart.RoleOf(weight.Role);
        var found = shared.Select(expert => (expert.Spec, job: Found(expert.Spec, expert.Part, weight, null))).Where(one => one.job is not null).ToList();
        if (found.Count < shared.Count)
            return [];
        if (found.Count == 1)
            return [Typed(ExpertTensors.Of(found[0].Spec, found[0].job!, role, weight.Name), weight)];
        IReadOnlyList<ITensorSource> parts = [.. found.Select((one, i) => Noisy(one.Spec, one.job!.Sources[0].Data, $"{weight.Name}.{i}"))];
        float[] factors = [.. found.Select(one => (float)ExpertTensors.Change(one.Spec, role).Scale)];
        ITensorSource source = role == TensorRole.MlpDown ? new AdjoinedSource(parts, [.. found.Select(one => one.job!.Shape[1])], factors) : new StackedSource(parts, factors);
        return [new TensorJob(weight.Name, weight.Shape!, type, MethodCatalog.Find("passthrough")!, [new JobSource("shared experts", source, false, Unscaled)], None) { Layer = weight.Layer }];
    }

    private ITensorSource Noisy(ExpertSpec spec, ITensorSource source, string name) =>
        spec.NoiseScale is > 0 ? new NoisySource(source, (float)spec.NoiseScale.Value, name, mixture.Seed) : source;

    private IEnumerable<TensorJob> Rest(WeightSpec weight)
    {
        if (weight.AllNames.Select(backbone.Find).FirstOrDefault(job => job is not null) is { } found)
        {
            _placed.Add(found.Name);
            if (weight.Shape is { } shape && !shape.SequenceEqual(found.Shape))
                _grouped.Add($"the backbone's tensor has another shape than {format.Name} wants", $"{weight.Name}: {found.ShapeText}");
            return [Typed(found with { Name = weight.Name }, weight)];
        }

        if (weight.Role == TensorRole.Bias && format.AddsBiases)
            return [new TensorJob(weight.Name, weight.Shape!, type, MethodCatalog.Find("passthrough")!,
                [new JobSource("zeros", new ConstantSource(0, weight.Shape![0], type), false, Unscaled)], None) { Layer = weight.Layer }];
        if (!weight.Optional)
            _grouped.Add($"'{backbone.Model}' lacks a tensor that {format.Name} wants", weight.Name);
        return [];
    }

    private TensorJob? Found(ExpertSpec spec, DensePart part, WeightSpec weight, IReadOnlyList<long>? shape)
    {
        var job = part.Mlp(weight.Layer!.Value, DensePart.RoleOf(weight.Role));
        if (job is null)
            _grouped.Add($"'{spec.Model}' has no such matrix in its feed-forward block", weight.Name);
        else if (shape is not null && !job.Shape.SequenceEqual(shape))
            _grouped.Add($"'{spec.Model}' has a matrix of another shape than the other experts", $"{weight.Name}: {job.ShapeText}, wanted [{string.Join(", ", shape)}]");
        else
            return job;
        return null;
    }

    private TensorJob Typed(TensorJob job, WeightSpec weight) => job with { OutputType = job.OutputType.IsFloat() ? type : job.OutputType, Layer = weight.Layer };
}
