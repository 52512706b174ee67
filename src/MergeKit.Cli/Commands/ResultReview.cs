using MergeKit.Cli.Display;
using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Recipes;
using MergeKit.Core.Reports;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>Runs a finished but unpublished result beside its parents: the check, and the recipe's evaluation documents.</summary>
internal sealed class ResultReview(MergePlan plan, string folder, string name, DeviceChoice device, RunDisplay display, CancellationToken cancellation)
{
    private readonly List<EvaluationResult> _evaluations = [];

    /// <summary>The documents of the recipe's file, among which evaluation documents find their models.</summary>
    public IReadOnlyList<IRecipeDocument> Documents { get; init; } = [];

    /// <summary>What the check found; null where there was none.</summary>
    public CheckReport? Checked { get; private set; }

    /// <summary>What the routers of a mixture do.</summary>
    public IReadOnlyList<RouterReport> Routers { get; set; } = [];

    /// <summary>The tables to show: the evaluation documents' if there are any, else the check's.</summary>
    public IReadOnlyList<EvaluationResult> Results => _evaluations.Count > 0 ? _evaluations : Checked?.Result is { } result ? [result] : [];

    /// <summary>The model card's section; null where nothing was run.</summary>
    public string? CardSection => Checked is null && _evaluations.Count == 0 ? null : string.Join("\n\n", Verdict().Concat(Results.Select(MarkdownReport.Table)));

    /// <summary>Runs the result on a short text. What cannot be run here (an unknown architecture, no tokenizer) is a remark, not a failure.</summary>
    public void Check(CheckOptions options)
    {
        display.Say("checking the result against its parents");
        Checked = Unrunnable() is { } why ? new CheckReport(true, [Problem.Warning($"not checked: {why}, so nobody has seen this merge work")], null)
            : MergeCheck.Run(folder, name, Parents(), options, cancellation);
        display.ShowProblems(Checked.Problems.Select(problem => problem.Severity == Severity.Error ? problem with { Severity = Severity.Warning } : problem));
    }

    /// <summary>Carries an evaluation document out: the result beside the models it names, or its parents.</summary>
    public void Evaluate(EvaluationRecipe recipe)
    {
        if (Unrunnable() is { } why)
            throw new InputException([Problem.Error($"the result cannot be evaluated: {why}", recipe.Location)]);
        display.Say("evaluating");
        var data = recipe.Data.Select(one => (one, set: DataSetReader.Read(InputPath.Resolve(one.Path, recipe.File, plan.Options), one.Name))).ToList();
        var (opener, scope) = (ModelOptions.Opener(plan.Options with { NamedResults = WithResult() }, device, cancellation), new RecipeScope(recipe.File, Documents));
        List<string> names = [.. recipe.Models.Count == 0 ? Parents().Select(parent => parent.Name) : recipe.Models.Select(model => Unique(model.ToString()))];
        var opened = new List<OpenedModel>();
        try
        {
            opened.Add(opener.Open(folder, name));
            foreach (var (i, other) in names.Index())
                opened.Add(recipe.Models.Count == 0 ? opener.Open(Parents()[i].Folder, other) : opener.Open(recipe.Models[i], scope, other));
            var options = new EvaluationOptions { Limit = null, Baseline = names.Contains(TemplateName) ? TemplateName : null };
            if (recipe.MaxNewTokens is { } tokens)
                options = options with { MaxNewTokens = tokens };
            _evaluations.AddRange(data.GroupBy(pair => pair.one.Limit).Select(group => Evaluator.Run(
                [.. opened.Select(model => model.ForEvaluation())], [.. group.Select(pair => pair.set)], options with { Limit = group.Key }, cancellation)));
            display.ShowProblems(opened.SelectMany(model => model.Remarks()));
        }
        finally
        {
            opened.ForEach(model => model.Dispose());
        }
    }

    /// <summary>report.json and report.html, one pair per table.</summary>
    public void AddFiles(Dictionary<string, string> files)
    {
        if (Checked is null && _evaluations.Count == 0)
            return;
        var layers = Results.Count > 0 ? ChangeMap.Of(folder, plan, cancellation) : [];
        var notes = Checked?.Problems.Select(problem => problem.ToString()).ToList() ?? [];
        notes.AddRange(plan.Vocabulary?.Report.Sentences() ?? []);
        for (var i = 0; i < Math.Max(1, Results.Count); i++)
        {
            var report = new EvaluationReport(name, Results.ElementAtOrDefault(i), layers, notes) { Routers = i == 0 ? Routers : [], Vocabulary = plan.Vocabulary?.Report };
            var suffix = i == 0 ? "" : $"-{i + 1}";
            files[$"report{suffix}.json"] = JsonReport.Write(report);
            files[$"report{suffix}.html"] = HtmlReport.Write(report);
        }
    }

    /// <summary>Folders of the file's results, this one's included.</summary>
    private Dictionary<string, string> WithResult()
    {
        var made = new Dictionary<string, string>(plan.Options.NamedResults, StringComparer.Ordinal);
        if (plan.Recipe.Name is { } own)
            made[own] = folder;
        return made;
    }

    private string TemplateName => Unique(plan.Inputs.First(input => input.Model.Folder == plan.Template!.Folder).Name);

    private IEnumerable<string> Verdict() => Checked switch
    {
        null => [],
        { Problems.Count: 0 } => ["The result was run beside its parents; nothing was found wrong."],
        var report => [string.Join('\n', report.Problems.Select(problem => $"- {problem}"))],
    };

    private string? Unrunnable() =>
        plan.Models.FirstOrDefault(model => model.Config is null || ArchitectureCatalog.Find(model.Config) is not { IsEncoder: false }) is { } model
            ? $"'{model.Config?.Architecture}' cannot be run here"
            : File.Exists(Path.Combine(folder, "tokenizer.json")) ? null : "the result has no tokenizer.json, so it cannot be run on text";

    private IReadOnlyList<(string Name, string Folder)> Parents() =>
        [.. plan.Inputs.SelectMany(input => input.Model.Stage is { } stage ? stage.Origins.Select(model => (Name: Unique(model.ToString()), model.Source)) : [(Unique(input.Name), input.Model.Source)])
            .DistinctBy(parent => parent.Source)];

    /// <summary>A model's name in tables: the last part of its path if no other model shares it, else the path.</summary>
    private string Unique(string model)
    {
        var last = Path.GetFileName(Path.TrimEndingDirectorySeparator(model));
        var shared = last.Length == 0 || last == name || plan.Inputs.Count(other => Path.GetFileName(Path.TrimEndingDirectorySeparator(other.Name)) == last) > 1;
        return !shared ? last : model == name ? $"{model} (input)" : model;
    }
}
