using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Turns a recipe into a plan from headers and configurations alone. Goes on after an error wherever that can show another.</summary>
public static class MergePlanner
{
    /// <summary>Decides every output tensor.</summary>
    public static MergePlan Plan(Recipe recipe, PlanOptions options) =>
        Plan(recipe, options, problems => new ModelLoader(options, problems).Load(recipe));

    /// <summary>The same for models that <paramref name="load"/> gives; what it could not open it notes.</summary>
    internal static MergePlan Plan(Recipe recipe, PlanOptions options, Func<List<Problem>, Dictionary<ModelReference, LoadedModel>> load)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var plan = new MergePlan(recipe, options);
        var method = FindMethod(recipe, problems);
        CheckModules(recipe, problems);
        RefuseForRaw(recipe, options, problems);
        var models = load(problems);
        TakeModels(plan, models);
        if (method is not null && models.Count == recipe.AllModels().Count(model => !recipe.IsTokenizerOnly(model)))
            PlanTensors(plan, method, models, problems);
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return plan;
    }

    /// <summary>Plans another recipe over models that an earlier plan has opened: nothing is read again, and what concerns only the models
    /// (configurations, vocabularies) is not checked again: a tokenizer setting gives the earlier plan's vocabulary. The new plan is usable as long as the earlier one is.</summary>
    public static MergePlan Replan(MergePlan opened, Recipe recipe)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var plan = new MergePlan(recipe, opened.Options, ownsModels: false);
        var method = FindMethod(recipe, problems);
        CheckModules(recipe, problems);
        var models = opened.Models.Concat(opened.Lenders).ToDictionary(model => model.Reference);
        var wanted = recipe.AllModels().Where(model => !recipe.IsTokenizerOnly(model)).ToList();
        TakeModels(plan, wanted.Where(models.ContainsKey).ToDictionary(reference => reference, reference => models[reference]));
        foreach (var missing in wanted.Where(reference => !models.ContainsKey(reference)))
            problems.Add(Problem.Error($"model '{missing}' is not among those that were opened: {string.Join(", ", opened.Models)}", missing.Location));
        if (method is not null && wanted.TrueForAll(models.ContainsKey))
            PlanTensors(plan, method, models, problems, opened.Vocabulary, checkModels: false);
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

        ParameterChecker.Check(recipe, method.Description, problems, MethodCatalog.ParameterNames);
        if (method.Base == BaseRole.Required && recipe.BaseModel is null && recipe.Modules.Any(module => module.Slices.Any(slice => slice.BaseModel is null)))
            problems.Add(Problem.Error($"merge_method '{recipe.MergeMethod}' needs a base_model: the model that the others were fine-tuned from", recipe.MethodLocation));
        return method;
    }

    private static void CheckModules(Recipe recipe, List<Problem> problems)
    {
        foreach (var module in recipe.Modules.Where(module => module.Name != RecipeModule.DefaultName))
            problems.Add(Problem.Error($"module '{module.Name}' is not known; only '{RecipeModule.DefaultName}' is built: architectures of several modules come later"));
    }

    /// <summary>State dicts have no vocabulary.</summary>
    private static void RefuseForRaw(Recipe recipe, PlanOptions options, List<Problem> problems)
    {
        if (options.Raw && recipe.Tokenizer is { } tokenizer)
            problems.Add(Problem.Error("a tokenizer setting has no meaning with --raw: nobody knows which tensors of a state dict have a row per token", tokenizer.Location));
        if (options.Raw && recipe.ChatTemplate is { } template)
            problems.Add(Problem.Error("'chat_template' has no meaning with --raw: a state dict has no tokenizer", template.Location));
    }

    private static void TakeModels(MergePlan plan, Dictionary<ModelReference, LoadedModel> models)
    {
        var merged = plan.Recipe.MergedModels().ToHashSet();
        plan.Models = [.. models.Values.Where(model => merged.Contains(model.Reference))];
        plan.Lenders = [.. models.Values.Where(model => !merged.Contains(model.Reference))];
    }

    private static void PlanTensors(MergePlan plan, MergeMethod method, Dictionary<ModelReference, LoadedModel> models, List<Problem> problems, VocabularyPlan? vocabulary = null, bool checkModels = true)
    {
        if (problems.Exists(problem => problem.Severity == Severity.Error && problem.Message.StartsWith("module ", StringComparison.Ordinal)))
            return;
        var recipe = plan.Recipe;
        plan.Template = models[recipe.BaseModel ?? recipe.Modules[0].Slices[0].Sources[0].Model];
        if (checkModels)
            CompatibilityChecks.Check(plan, problems);
        if (recipe.Tokenizer is { } tokenizer && !plan.Options.Raw)
            plan.Vocabulary = vocabulary
                ?? new VocabularyPlanner(plan, tokenizer, new ModelLoader(plan.Options, problems).TokenizerFolder(recipe, models), problems).Plan();
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

        problems.AddRange(plan.Statistics.Awaited.Select(awaited => Problem.Note($"{StatisticsCost.Of(method.Statistics, awaited.Model, awaited.Request)}; recorded when the recipe is run, unless they are kept already", awaited.Request.Location)));
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
