using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Decides the files of the result's tokenizer, chat template and generation settings: copies of a model's, or written anew.</summary>
internal static class OutputTokenizer
{
    private const string Tokenizer = "tokenizer.json", Settings = "tokenizer_config.json", Template = "chat_template.jinja", Generation = "generation_config.json";

    /// <summary>Files that go with any change of vocabulary.</summary>
    private static readonly string[] Files = [Tokenizer, Settings, "special_tokens_map.json", Template, "chat_template.json"];

    /// <summary>Older forms of the vocabulary itself, which would contradict a changed tokenizer.json.</summary>
    private static readonly string[] OldForms = ["added_tokens.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "merges.txt", "vocab.txt"];

    /// <summary>All files that make up a tokenizer and its chat template.</summary>
    public static IEnumerable<string> Names => Files.Concat(OldForms);

    public static void Decide(MergePlan plan, List<Problem> problems)
    {
        var (vocabulary, copies, texts) = (plan.Vocabulary, new Dictionary<string, string>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal));
        var folder = vocabulary?.Folder ?? plan.Template!.Folder;
        var changed = vocabulary is { Draft.IsChanged: true };
        if (plan.Options.CopyTokenizer || vocabulary is not null)
        {
            Copy(folder, changed ? Files : Names, copies);
            var left = changed ? OldForms.Where(name => File.Exists(Path.Combine(folder, name))).ToList() : [];
            if (left.Count > 0)
                problems.Add(Problem.Note($"{string.Join(", ", left)} of '{folder}' are not copied: they do not know the changed vocabulary, tokenizer.json does"));
        }

        if (changed)
            Write(Tokenizer, TokenizerJsonWriter.Write(vocabulary!.Draft));
        if (ChatTemplateChoice.Choose(plan, problems) is { } template)
        {
            copies.Remove("chat_template.json");
            Write(Template, template);
        }

        if (copies.TryGetValue(Settings, out var settings) && TokenizerSettings.Edit(settings, vocabulary?.Draft, texts.ContainsKey(Template)) is { } edited)
            Write(Settings, edited);
        if (plan.Options.CopyTokenizer)
            DecideGeneration(plan, copies, texts, problems);
        (plan.Copies, plan.Texts) = (copies, texts);

        void Write(string name, string text)
        {
            copies.Remove(name);
            texts[name] = text;
        }
    }

    private static void DecideGeneration(MergePlan plan, Dictionary<string, string> copies, Dictionary<string, string> texts, List<Problem> problems)
    {
        Copy(plan.Template!.Folder, [Generation], copies);
        if (plan.Vocabulary is not { } vocabulary || !copies.TryGetValue(Generation, out var path))
            return;
        var settings = (JsonObject)ModelConfig.Parse(path, File.ReadAllText(path)).Json.DeepClone();
        if (!SpecialTokenIds.Renumber(settings, plan.Template, vocabulary, Generation, problems))
            return;
        copies.Remove(Generation);
        texts[Generation] = OutputConfig.Text(settings);
    }

    private static void Copy(string folder, IEnumerable<string> names, Dictionary<string, string> copies)
    {
        foreach (var name in names.Where(name => File.Exists(Path.Combine(folder, name))))
            copies[name] = Path.Combine(folder, name);
    }
}
