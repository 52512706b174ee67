using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Finds the chat template that a recipe asks for.</summary>
internal static class ChatTemplateChoice
{
    /// <summary>Its text; null where the recipe asks for none or none can be found.</summary>
    public static string? Choose(MergePlan plan, List<Problem> problems)
    {
        if (plan.Recipe.ChatTemplate is not { } spec)
            return null;
        var text = spec.Kind switch
        {
            ChatTemplateKind.Auto => MostFrequent(plan, spec, problems),
            ChatTemplateKind.Named => KnownTemplates.Get(spec.Text),
            _ => spec.Text,
        };
        if (text is not null)
            Check(text, spec, problems);
        return text;
    }

    /// <summary>The template that most models have; of equally frequent ones the first model's.</summary>
    private static string? MostFrequent(MergePlan plan, ChatTemplateSpec spec, List<Problem> problems)
    {
        var templates = plan.Models.Select(model => (model, text: ChatTemplate.DefaultText(model.Folder)?.Trim())).Where(pair => pair.text is { Length: > 0 }).ToList();
        if (templates.Count == 0)
        {
            problems.Add(Problem.Warning("'chat_template' is auto, but no model has one: the result has none either", spec.Location));
            return null;
        }

        var groups = templates.GroupBy(pair => pair.text!, StringComparer.Ordinal).ToList();
        var chosen = groups.MaxBy(group => group.Count())!;
        problems.Add(Problem.Note($"chat_template auto: that of {string.Join(", ", chosen.Select(pair => $"'{pair.model}'"))}"
            + (groups.Count > 1 ? $"; {groups.Count - 1} other templates are in use among {templates.Count} models" : ""), spec.Location));
        return chosen.Key;
    }

    private static void Check(string text, ChatTemplateSpec spec, List<Problem> problems)
    {
        try
        {
            ChatTemplate.Parse(text);
        }
        catch (TemplateException e)
        {
            problems.Add(Problem.Error($"'chat_template' is no Jinja template: {e.Message}", spec.Location));
        }
    }
}
