using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
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
        CheckModules(recipe, problems);
        RefuseForRaw(recipe, options, problems);
        var loader = new ModelLoader(options, problems);
        var models = loader.Load(recipe);
        var merged = recipe.MergedModels().ToHashSet();
        plan.Models = [.. models.Values.Where(model => merged.Contains(model.Reference))];
        plan.Lenders = [.. models.Values.Where(model => !merged.Contains(model.Reference))];
        var tokenizerFolder = loader.TokenizerFolder(recipe, models);
        if (method is not null && !problems.Exists(problem => problem.Severity == Severity.Error && problem.Message.StartsWith("module ", StringComparison.Ordinal))
            && models.Count == recipe.AllModels().Count(model => !recipe.IsTokenizerOnly(model)))
            PlanTensors(plan, method, models, tokenizerFolder, problems);
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

    private static void PlanTensors(MergePlan plan, MergeMethod method, Dictionary<ModelReference, LoadedModel> models, string? tokenizerFolder, List<Problem> problems)
    {
        var recipe = plan.Recipe;
        plan.Template = models[recipe.BaseModel ?? recipe.Modules[0].Slices[0].Sources[0].Model];
        CompatibilityChecks.Check(plan, problems);
        if (recipe.Tokenizer is { } tokenizer && !plan.Options.Raw)
            plan.Vocabulary = new VocabularyPlanner(plan, tokenizer, tokenizerFolder, problems).Plan();
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
        problems.AddRange(UnusedTensors.Account(plan));
        if (!plan.Options.Raw)
            OutputConfig.Decide(plan, layers, problems);
        plan.Layout = ShardLayout.Create(
            [.. jobs.Select(job => new PlannedTensor(job.Name, job.OutputType, job.Shape, job.ByteLength))], plan.Options.ShardBytes);
        ResourceChecks.Check(plan, problems);
    }
}
