using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>A solved example in a prompt.</summary>
public readonly record struct PromptShot(string Text, string Target);

/// <summary>Puts a prompt together: description, solved examples, the text in question.</summary>
public sealed record PromptAssembly
{
    /// <summary>What comes first.</summary>
    public string Description { get; init; } = "";

    /// <summary>Between a text and its target.</summary>
    public string TargetDelimiter { get; init; } = " ";

    /// <summary>After each solved example.</summary>
    public string FewshotDelimiter { get; init; } = "\n\n";

    /// <summary>How every answer begins, the one in question too; null or empty: nothing.</summary>
    public string? GenerationPrefix { get; init; }

    /// <summary>The context: the description; per example text, delimiter, target and the few-shot delimiter; the text. With a generation prefix, text and prefix are
    /// joined by the target delimiter, prefix and target by one space, each only when neither side of the joint is white space.</summary>
    public string Context(IEnumerable<PromptShot> shots, string text)
    {
        var prompt = Description;
        foreach (var shot in shots)
            prompt += (Prefixed ? Join(WithPrefix(shot.Text), shot.Target, " ") : shot.Text + TargetDelimiter + shot.Target) + FewshotDelimiter;
        return prompt + (Prefixed ? WithPrefix(text) : text);
    }

    /// <summary>The continuation of a choice: the target delimiter and the choice.</summary>
    public string Continuation(string choice) => TargetDelimiter + choice;

    private bool Prefixed => !string.IsNullOrEmpty(GenerationPrefix);

    private string WithPrefix(string text) => Join(text, GenerationPrefix!, TargetDelimiter);

    private static string Join(string left, string right, string delimiter)
    {
        if (left.Length == 0 || right.Length == 0)
            return left + right;
        return left + (PythonString.IsSpace(left[^1]) || PythonString.IsSpace(right[0]) ? "" : delimiter) + right;
    }
}
