using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Planning;

/// <summary>Plans a dense model whose feed-forward blocks are a mixture's experts merged by any method. What is no expert's is copied. A shared
/// expert is kept whole beside the merged one: a block as wide as both gives the sum of their outputs.</summary>
internal sealed class CollapsePlanner
{
    private static readonly Dictionary<string, double> Unscaled = new(StringComparer.Ordinal) { ["scale"] = 1 };
    private readonly MixtureViews _views;
    private readonly Checkpoint _mixture;
    private readonly float _sharedScale;

    private CollapsePlanner(MixtureViews views, Checkpoint mixture, float sharedScale) => (_views, _mixture, _sharedScale) = (views, mixture, sharedScale);

    /// <summary>Decides every output tensor.</summary>
    public static MergePlan Plan(Recipe recipe, PlanOptions options)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var models = new ModelLoader(options with { Raw = false }, problems).Load(recipe);
        var empty = new MergePlan(recipe, options) { Models = [.. models.Values] };
        try
        {
            if (models.Count == recipe.AllModels().Count)
                return Plan(recipe, options, models, problems);
        }
        catch (InputException e)
        {
            problems.AddRange(e.Problems);
        }

        empty.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return empty;
    }

    private static MergePlan Plan(Recipe recipe, PlanOptions options, Dictionary<ModelReference, LoadedModel> models, List<Problem> problems)
    {
        var (settings, mixture) = (recipe.Collapse!, models[recipe.Collapse!.Mixture]);
        var views = new MixtureViews(mixture);
        var chosen = settings.Experts.Count > 0 ? settings.Experts
            : [.. Enumerable.Range(0, views.Experts).Select(index => new CollapsedExpert(index, Parameters.Empty, settings.Mixture.Location))];
        if (chosen.FirstOrDefault(expert => expert.Index >= views.Experts) is { } outside)
            throw new InputException([Problem.Error($"expert {outside.Index} of '{mixture}': it has {views.Experts} experts, 0 to {views.Experts - 1}", outside.Location)]);
        var sources = chosen.Select(expert => new RecipeSource(Reference(settings.Mixture, expert.Index), null, expert.Parameters, expert.Location)).ToList();
        var merge = recipe with { Collapse = null, Modules = [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice(sources, null, Parameters.Empty, recipe.Location)], Parameters.Empty)] };
        var opened = chosen.Select(expert => views.View(expert.Index, Reference(settings.Mixture, expert.Index))).Concat(models.Values.Where(model => model != mixture))
            .ToDictionary(model => model.Reference);
        var plan = MergePlanner.Plan(merge, options, found =>
        {
            found.AddRange(problems);
            return opened;
        });
        new CollapsePlanner(views, mixture.Checkpoint, (float)(settings.SharedScale ?? (views.HasSharedGate ? 0.5 : 1))).Finish(plan);
        plan.Models = [.. plan.Models, mixture];
        plan.Recipe = merge with { Collapse = settings };
        return plan;
    }

    private static ModelReference Reference(ModelReference mixture, int expert) =>
        mixture with { Path = string.Create(CultureInfo.InvariantCulture, $"{mixture.Path}#{expert}") };

    private void Finish(MergePlan plan)
    {
        if (plan.Jobs.Count == 0 || plan.ConfigJson is null)
            return;
        var view = plan.Models.First(model => model.Config == _views.Config);
        var roles = view.Weights.ToDictionary(weight => weight.Name, StringComparer.Ordinal);
        plan.Jobs = [.. plan.Jobs.Select(job => roles.TryGetValue(job.Name, out var weight) && weight.Layer is { } layer && _views.Layers.Contains(layer)
            && weight.Role is TensorRole.MlpGate or TensorRole.MlpUp or TensorRole.MlpDown ? WithShared(job, weight) : Copied(job, view))];
        var problems = plan.Problems.Except(plan.Shortages).ToList();
        if (_views.SharedWidth > 0)
        {
            var config = JsonNode.Parse(plan.ConfigJson)!.AsObject();
            config["intermediate_size"] = config["intermediate_size"]!.GetValue<long>() + _views.SharedWidth;
            plan.ConfigJson = OutputConfig.Text(config);
            if (_views.HasSharedGate)
                problems.Add(Problem.Warning($"the gate on the shared expert depends on the token, which a dense model cannot do: the factor {_sharedScale} stands for it (shared_scale)"));
        }

        plan.Layout = ShardLayout.Create([.. plan.Jobs.Select(job => new PlannedTensor(job.Name, job.OutputType, job.Shape, job.ByteLength))], plan.Options.ShardBytes);
        ResourceChecks.Check(plan, problems);
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
    }

    /// <summary>What is no expert's is the mixture's own, whatever the method.</summary>
    private static TensorJob Copied(TensorJob job, LoadedModel view) => job.Sources.FirstOrDefault(source => source.Model == view.ToString()) is { } own
        ? job with { Method = MethodCatalog.Find("passthrough")!, Sources = [own with { IsBase = false, Parameters = Unscaled }], Parameters = new Dictionary<string, double>() }
        : job;

    private TensorJob WithShared(TensorJob job, WeightSpec weight)
    {
        if (_views.SharedWidth == 0 || _views.Shared(weight.Layer!.Value, weight.Role) is not { } info)
            return job;
        var down = weight.Role == TensorRole.MlpDown;
        IReadOnlyList<long> shape = down ? [job.Shape[0], job.Shape[1] + info.Shape[1]] : [job.Shape[0] + info.Shape[0], job.Shape[1]];
        float[] factors = [1, down ? _sharedScale : 1];
        var sources = job.Sources.Select(source =>
        {
            var shared = new CheckpointSource(_mixture, info, info.ElementCount, source.Data.Type == info.DType ? null : source.Data.Type);
            return source with
            {
                Data = down ? new AdjoinedSource([source.Data, shared], [job.Shape[1], info.Shape[1]], factors) : new StackedSource([source.Data, shared], factors),
            };
        }).ToList();
        return new TensorJob(job.Name, shape, job.OutputType, job.Method, sources, job.Parameters) { Layer = job.Layer, Depth = job.Depth };
    }
}
