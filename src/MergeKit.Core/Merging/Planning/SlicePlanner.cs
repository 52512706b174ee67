using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>One source of a slice, opened.</summary>
/// <param name="Model">The model.</param>
/// <param name="Source">The recipe's entry; null for a base that is not listed.</param>
/// <param name="Start">Its first layer.</param>
/// <param name="IsBase">Whether it is the base model.</param>
internal sealed record SliceSource(LoadedModel Model, RecipeSource? Source, int Start, bool IsBase);

/// <summary>Plans the tensors of one slice.</summary>
internal sealed class SlicePlanner(
    MergePlan plan, MergeMethod method, RecipeModule module, RecipeSlice slice, Dictionary<ModelReference, LoadedModel> models, List<Problem> problems)
{
    private readonly List<SliceSource> _sources = [];

    /// <summary>Layers of the slice.</summary>
    public int LayerCount { get; private set; }

    /// <summary>Finds the sources and their layers; false when the slice makes no sense.</summary>
    public bool Open()
    {
        var errors = problems.Count(problem => problem.Severity == Severity.Error);
        var baseReference = slice.BaseModel ?? plan.Recipe.BaseModel;
        foreach (var source in slice.Sources)
            _sources.Add(new SliceSource(models[source.Model], source, source.Range?.Start ?? 0, source.Model.Equals(baseReference)));
        if (baseReference is not null && !_sources.Exists(source => source.IsBase))
            AddBase(baseReference);
        CheckRepeats();
        CheckCount();
        CheckLayers();
        return problems.Count(problem => problem.Severity == Severity.Error) == errors;
    }

    /// <summary>The first source's layers in order: the pattern that the output's layers follow.</summary>
    public IEnumerable<(LoadedModel Model, int Layer)> Layers() =>
        Enumerable.Range(0, LayerCount).Select(layer => (_sources[0].Model, _sources[0].Start + layer));

    /// <summary>The jobs of the slice: embedding and the like if it is the first, its layers, final norm and head if it is the last.</summary>
    public IEnumerable<TensorJob> Jobs(int firstOutputLayer, bool isFirst, bool isLast)
    {
        var tensors = new TensorPlanner(plan, method, new ParameterResolver(plan.Recipe, module, slice), _sources, problems);
        var layout = SliceLayout.Of(_sources);
        var jobs = new List<TensorJob?>();
        if (isFirst)
            jobs.AddRange(layout.Before.Select(weight => tensors.Plan(weight, null, null, 0)));
        for (var layer = 0; layer < LayerCount; layer++)
        {
            var t = LayerCount == 1 ? 1 : (double)layer / (LayerCount - 1);
            jobs.AddRange(layout.Layer(_sources[0].Start + layer).Select(weight => tensors.Plan(weight, layer, firstOutputLayer + layer, t)).OfType<TensorJob>()
                .Select(job => job with { Layer = firstOutputLayer + layer }));
        }

        if (isLast)
            jobs.AddRange(layout.After.Select(weight => tensors.Plan(weight, null, null, 0)).OfType<TensorJob>().Select(job => job with { Depth = 1 }));
        tensors.ReportGrouped();
        return jobs.OfType<TensorJob>();
    }

    private void AddBase(ModelReference reference)
    {
        if (plan.Recipe.Form != RecipeForm.Slices && slice.Sources.All(source => source.Range is null))
            _sources.Add(new SliceSource(models[reference], null, 0, true));
        else if (method.Base != BaseRole.Ordinary)
            problems.Add(Problem.Error(
                $"merge_method '{method.Description.Name}' needs the base model '{reference}' as a source of every slice (with its layer_range)", slice.Location));
    }

    private void CheckRepeats()
    {
        var repeats = slice.Sources.GroupBy(source => (source.Model, source.Range)).Where(group => group.Count() > 1);
        foreach (var repeat in repeats)
            problems.Add(Problem.Error($"model '{repeat.Key.Model}' is listed {repeat.Count()} times; list it once, with the weight it should have", repeat.Last().Location));
    }

    private void CheckCount()
    {
        var (least, most) = method.SliceModels;
        if (_sources.Count >= least && _sources.Count <= most)
            return;
        var wanted = least == most ? Words(least) : most == int.MaxValue ? $"at least {Words(least)}" : $"{least} to {most} models";
        problems.Add(Problem.Error(
            $"merge_method '{method.Description.Name}' works on {wanted}{(method.Base == BaseRole.Required ? ", the base included" : "")}; here are {_sources.Count}: "
            + string.Join(", ", _sources.Select(source => source.Model)), slice.Location));
    }

    private static string Words(int count) => count switch { 1 => "one model", 2 => "exactly two models", _ => $"{count} models" };

    private void CheckLayers()
    {
        var counts = _sources.Select(source => source.Source?.Range?.Count ?? source.Model.LayerCount).ToList();
        LayerCount = counts[0];
        foreach (var source in _sources)
            if (source.Source is { Range: { } range } && range.End > source.Model.LayerCount)
                problems.Add(Problem.Error(
                    $"layer_range {range} of '{source.Model}' goes past its {source.Model.LayerCount} layers (0 to {source.Model.LayerCount - 1}; the second number is not included)",
                    source.Source.Location));
        if (counts.Distinct().Count() > 1)
            problems.Add(Problem.Error("the sources of a slice have different numbers of layers: "
                + string.Join(", ", _sources.Select((source, i) => $"{source.Model} {counts[i]}")), slice.Location));
    }
}

/// <summary>Which tensors a slice has, by place. Sources of a known architecture agree; for others the union of their names counts.</summary>
internal sealed record SliceLayout(IReadOnlyList<WeightSpec> Before, ILookup<int, WeightSpec> ByLayer, IReadOnlyList<WeightSpec> After)
{
    /// <summary>The layer's tensors, numbered as in the first source.</summary>
    public IEnumerable<WeightSpec> Layer(int layer) => ByLayer[layer];

    public static SliceLayout Of(IReadOnlyList<SliceSource> sources)
    {
        var weights = sources[0].Model.Weights.ToList();
        var names = weights.Select(weight => weight.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var source in sources.Skip(1))
            foreach (var weight in source.Model.Weights)
            {
                var layer = weight.Layer is { } own ? own - source.Start + sources[0].Start : (int?)null;
                var renamed = weight with { Name = LoadedModel.WithLayer(weight.Name, layer), Layer = layer };
                if (names.Add(renamed.Name))
                    weights.Add(renamed);
            }

        var firstLayer = weights.FindIndex(weight => weight.Layer is not null);
        var outside = weights.Select((weight, i) => (weight, i)).Where(pair => pair.weight.Layer is null).ToList();
        return new SliceLayout(
            [.. outside.Where(pair => firstLayer < 0 || pair.i < firstLayer).Select(pair => pair.weight)],
            weights.Where(weight => weight.Layer is not null).ToLookup(weight => weight.Layer!.Value),
            [.. outside.Where(pair => firstLayer >= 0 && pair.i > firstLayer).Select(pair => pair.weight)]);
    }
}
