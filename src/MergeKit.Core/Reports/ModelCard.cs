using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Reports;

/// <summary>The result's README.md: what it was made of, how, under which licences, and the recipe itself.</summary>
public static partial class ModelCard
{
    /// <summary>Writes the card.</summary>
    /// <param name="plan">The plan that was carried out.</param>
    /// <param name="title">The model's name.</param>
    /// <param name="hashes">SHA-256 of input files by path, or null.</param>
    /// <param name="check">What the check of the result found, in Markdown; null where there was none.</param>
    public static string Write(MergePlan plan, string title, IReadOnlyDictionary<string, string>? hashes, string? check = null)
    {
        var card = new StringBuilder();
        var licences = plan.Inputs.Select(input => (input.Name, model: input.Model, licence: Licence(input.Model.Folder))).ToList();
        WriteFrontMatter(card, plan, [.. licences.Select(one => one.licence).Distinct()]);
        var method = MethodCatalog.Find(plan.Recipe.MergeMethod)!;
        card.AppendLine(CultureInfo.InvariantCulture, $"# {title}").AppendLine();
        card.AppendLine("A merge of language models made by MergeKit.Net.").AppendLine();
        card.AppendLine("## Method").AppendLine();
        if (plan.Recipe.Moe is not null || plan.Recipe.Collapse is not null)
            card.AppendLine(MixtureText(plan)).AppendLine();
        card.AppendLine(CultureInfo.InvariantCulture, $"`{method.Description.Name}`: {method.Description.Summary} Formula: {method.Formula}. Source: {method.Paper}.").AppendLine();
        card.AppendLine("## Models").AppendLine().AppendLine("| model | role | architecture | licence | parameters |").AppendLine("|---|---|---|---|---|");
        foreach (var (name, model, licence) in licences)
            card.AppendLine(CultureInfo.InvariantCulture,
                $"| {Cell(name)} | {(model == plan.Template ? "base or first: gives config and tokenizer" : "input")} | {Cell(model.Config?.Architecture ?? "state dict")} | {Cell(licence ?? "not stated")} | {model.Checkpoint.Tensors.Sum(tensor => tensor.ElementCount):N0} |");
        card.AppendLine();
        WriteVocabulary(card, plan);
        WriteIdentity(card, plan, hashes);
        WriteLineage(card, plan);
        if (check is not null)
            card.AppendLine("## Check").AppendLine().AppendLine(check).AppendLine();
        card.AppendLine("## Recipe").AppendLine().AppendLine("```yaml").AppendLine(plan.Recipe.Yaml.TrimEnd()).AppendLine("```");
        return card.ToString();
    }

    /// <summary>What a mixture is made of, or made into.</summary>
    private static string MixtureText(MergePlan plan) => plan.Recipe.Moe is { } moe
        ? $"A mixture of {moe.Expanded.Count} experts, {moe.TopK} per token{(moe.Shared.Count > 0 ? $", and {moe.Shared.Count} shared" : "")}; gates: {moe.Gate}, read from the {(moe.Input == Recipes.GateInput.Router ? "router's input" : "layer's input")}. "
            + "The experts are the feed-forward blocks of the models below; all else is made as follows."
        : "A mixture of experts made dense: the experts of each layer are merged as follows, all else is copied.";

    private static void WriteFrontMatter(StringBuilder card, MergePlan plan, List<string?> licences)
    {
        card.AppendLine("---").AppendLine("base_model:");
        foreach (var path in plan.Inputs.Select(input => plan.Recipe.Collapse is null ? input.Model.Reference.Path : input.Name))
            card.AppendLine(CultureInfo.InvariantCulture, $"- {Quote(path)}");
        card.AppendLine("library_name: transformers").AppendLine("tags:").AppendLine("- mergekit").AppendLine("- merge");
        if (licences is [{ } only])
            card.AppendLine(CultureInfo.InvariantCulture, $"license: {Quote(only)}");
        card.AppendLine("---");
    }

    private static void WriteVocabulary(StringBuilder card, MergePlan plan)
    {
        if (plan.Vocabulary is not { Report: var report })
            return;
        card.AppendLine("## Vocabulary").AppendLine();
        foreach (var sentence in report.Sentences())
            card.AppendLine(CultureInfo.InvariantCulture, $"- {Text(sentence)}");
        card.AppendLine();
    }

    /// <summary>Tokens are any text: none of it may become markup.</summary>
    private static string Text(string sentence) => sentence.Replace("<", "&lt;", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal)
        .Replace("`", "\\`", StringComparison.Ordinal).ReplaceLineEndings(" ");

    private static void WriteIdentity(StringBuilder card, MergePlan plan, IReadOnlyDictionary<string, string>? hashes)
    {
        card.AppendLine("## Input files").AppendLine().AppendLine(hashes is null ? "| file | bytes |" : "| file | bytes | SHA-256 |").AppendLine(hashes is null ? "|---|---|" : "|---|---|---|");
        foreach (var file in plan.Inputs.SelectMany(input => input.Model.Checkpoint.Files.Select(file => (model: input.Model, file.File))))
        {
            var name = $"{file.model.Reference.Path}/{Path.GetFileName(file.File)}";
            card.Append(CultureInfo.InvariantCulture, $"| {Cell(name)} | {new FileInfo(file.File).Length:N0} |");
            card.AppendLine(hashes is null ? "" : $" {hashes[file.File]} |");
        }

        card.AppendLine();
    }

    /// <summary>Inputs that are merges themselves bring their recipes along.</summary>
    private static void WriteLineage(StringBuilder card, MergePlan plan)
    {
        var stages = Stages(plan.Models).DistinctBy(stage => stage.Name).ToList();
        var merges = plan.Inputs.Select(input => input.Model).Where(model => model.Stage is null).Select(model => (model, path: Path.Combine(model.Folder, "mergekit_config.yml"))).Where(pair => File.Exists(pair.path)).ToList();
        if (merges.Count == 0 && stages.Count == 0)
            return;
        card.AppendLine("## Lineage").AppendLine();
        foreach (var stage in stages)
            card.AppendLine(CultureInfo.InvariantCulture, $"`{stage.Name}` is made by:").AppendLine().AppendLine("```yaml").AppendLine(stage.Plan.Recipe.Yaml.TrimEnd()).AppendLine("```").AppendLine();
        foreach (var (model, path) in merges)
            card.AppendLine(CultureInfo.InvariantCulture, $"`{model}` is itself a merge:").AppendLine().AppendLine("```yaml").AppendLine(File.ReadAllText(path).TrimEnd()).AppendLine("```").AppendLine();
    }

    /// <summary>Earlier documents of the same file, those that others use first.</summary>
    private static IEnumerable<StageModel> Stages(IEnumerable<LoadedModel> models) =>
        models.Select(model => model.Stage).OfType<StageModel>().SelectMany(stage => Stages(stage.Plan.Models).Append(stage));

    private static string? Licence(string folder)
    {
        var path = Path.Combine(folder, "README.md");
        if (!File.Exists(path))
            return null;
        var lines = File.ReadLines(path).Take(200).ToList();
        if (lines.FirstOrDefault() != "---")
            return null;
        var licence = lines.Skip(1).TakeWhile(line => line != "---").Select(line => LicenceLine().Match(line)).FirstOrDefault(match => match.Success);
        return licence?.Groups[1].Value.Trim('"', '\'');
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal).ReplaceLineEndings(" ");

    private static string Quote(string text) => $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    [GeneratedRegex(@"^license:\s*(\S+)\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex LicenceLine();
}
