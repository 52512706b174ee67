using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Planning;

/// <summary>The tokenizer of a result that is not written (yet).</summary>
public static class ResultTokenizer
{
    private const string File = "tokenizer.json", Settings = "tokenizer_config.json";

    /// <summary>The tokenizer that the result of a plan will have.</summary>
    /// <exception cref="Diagnostics.InputException">There is none, or it cannot be used.</exception>
    public static Tokenizer Of(MergePlan plan)
    {
        if (!plan.Texts.TryGetValue(File, out var text))
            return Tokenizer.Load(plan.Vocabulary?.Folder ?? plan.Template!.Folder);
        var settings = plan.Texts.TryGetValue(Settings, out var edited) ? edited
            : plan.Copies.TryGetValue(Settings, out var path) ? System.IO.File.ReadAllText(path) : null;
        return Tokenizer.Parse($"{File} of the result", text, settings);
    }
}
