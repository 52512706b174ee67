using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Turns a recipe into a plan from headers and configurations alone. Goes on after an error wherever that can show another.</summary>
public static class MergePlanner
{
    /// <summary>Decides every output tensor.</summary>
    public static MergePlan Plan(Recipe recipe, PlanOptions options)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var plan = new MergePlan(recipe, options);
        var method = FindMethod(recipe, problems);
        RefuseUnbuilt(recipe, problems);
        var models = new ModelLoader(options, problems).Load(recipe);
        plan.Models = [.. models.Values];
        if (method is not null && models.Count == recipe.AllModels().Count)
            PlanTensors(plan, method, models, problems);
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return plan;
    }

    /// <summary>Plans another recipe over models that an earlier plan has opened: nothing is read again, and what concerns only the models
    /// (configurations, vocabularies) is not checked again. The new plan is usable as long as the earlier one is.</summary>
    public static MergePlan Replan(MergePlan opened, Recipe recipe)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var plan = new MergePlan(recipe, opened.Options, ownsModels: false);
        var method = FindMethod(recipe, problems);
        RefuseUnbuilt(recipe, problems);
        var models = opened.Models.ToDictionary(model => model.Reference);
        plan.Models = [.. recipe.AllModels().Where(models.ContainsKey).Select(reference => models[reference])];
        foreach (var missing in recipe.AllModels().Where(reference => !models.ContainsKey(reference)))
            problems.Add(Problem.Error($"model '{missing}' is not among those that were opened: {string.Join(", ", opened.Models)}", missing.Location));
        if (method is not null && plan.Models.Count == recipe.AllModels().Count)
            PlanTensors(plan, method, models, problems, checkModels: false);
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return plan;
    }

    private static MergeMethod? FindMethod(Recipe recipe, List<Problem> problems)
    {
        var method = MethodCatalog.Find(recipe.MergeMethod);
        if (method is null)
        {
            var names = MethodCatalog.All.Select(known => known.Description.Name).ToList();
            problems.Add(Problem.Error(
                $"merge_method '{recipe.MergeMethod}' is unknown or not built yet.{Spelling.Hint(recipe.MergeMethod, names)} Known: {string.Join(", ", names)}",
                recipe.MethodLocation));
            return null;
        }

        ParameterChecker.Check(recipe, method.Description, problems);
        if (method.Base == BaseRole.Required && recipe.BaseModel is null && recipe.Modules.Any(module => module.Slices.Any(slice => slice.BaseModel is null)))
            problems.Add(Problem.Error($"merge_method '{recipe.MergeMethod}' needs a base_model: the model that the others were fine-tuned from", recipe.MethodLocation));
        return method;
    }

    private static void RefuseUnbuilt(Recipe recipe, List<Problem> problems)
    {
        if (recipe.Tokenizer is { } tokenizer)
            problems.Add(Problem.Error("tokenizer and tokenizer_source are not built yet: without them the base (or first) model's tokenizer is copied", tokenizer.Location));
        if (recipe.ChatTemplate is { } template)
            problems.Add(Problem.Error("chat_template is not built yet: the base (or first) model's template is copied", template.Location));
        foreach (var module in recipe.Modules.Where(module => module.Name != RecipeModule.DefaultName))
            problems.Add(Problem.Error($"module '{module.Name}' is not known; only '{RecipeModule.DefaultName}' is built: architectures of several modules come later"));
    }

    private static void PlanTensors(MergePlan plan, MergeMethod method, Dictionary<ModelReference, LoadedModel> models, List<Problem> problems, bool checkModels = true)
    {
        if (problems.Exists(problem => problem.Severity == Severity.Error && problem.Message.StartsWith("module ", StringComparison.Ordinal)))
            return;
        var recipe = plan.Recipe;
        plan.Template = models[recipe.BaseModel ?? recipe.Modules[0].Slices[0].Sources[0].Model];
        if (checkModels)
            CompatibilityChecks.Check(plan, problems);
        var slices = recipe.Modules.SelectMany(module => module.Slices.Select(slice => (module, slice))).ToList();
        var jobs = new List<TensorJob>();
        var (layers, outputLayers) = (new List<(LoadedModel Model, int Layer)>(), 0);
        for (var i = 0; i < slices.Count; i++)
        {
            var planner = new SlicePlanner(plan, method, slices[i].module, slices[i].slice, models, problems);
            if (!planner.Open())
                return;
            jobs.AddRange(planner.Jobs(outputLayers, isFirst: i == 0, isLast: i == slices.Count - 1));
            layers.AddRange(planner.Layers());
            outputLayers += planner.LayerCount;
        }

        plan.Jobs = jobs.ConvertAll(job => job.Layer is { } layer ? job with { Depth = outputLayers == 1 ? 1 : layer / (outputLayers - 1.0) } : job);
        if (checkModels)
            problems.AddRange(UnusedTensors.Account(plan));
        if (!plan.Options.Raw)
            OutputConfig.Decide(plan, layers, problems);
        plan.Layout = ShardLayout.Create(
            [.. jobs.Select(job => new PlannedTensor(job.Name, job.OutputType, job.Shape, job.ByteLength))], plan.Options.ShardBytes);
        ResourceChecks.Check(plan, problems);
    }
}
