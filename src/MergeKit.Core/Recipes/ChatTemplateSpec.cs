using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>How a recipe gives the chat template.</summary>
public enum ChatTemplateKind
{
    /// <summary>The most frequent one among the inputs.</summary>
    Auto,

    /// <summary>One of <see cref="ChatTemplateSpec.KnownNames"/>.</summary>
    Named,

    /// <summary>The text of a Jinja template.</summary>
    Jinja,
}

/// <summary>The chat template that the result gets.</summary>
/// <param name="Kind">How it is given.</param>
/// <param name="Text"><c>auto</c>, the name, or the template itself.</param>
/// <param name="Location">Where it was written.</param>
public sealed record ChatTemplateSpec(ChatTemplateKind Kind, string Text, SourceLocation Location)
{
    /// <summary>The templates that go by a name.</summary>
    public static IReadOnlyList<string> KnownNames { get; } = ["alpaca", "chatml", "exaone", "llama3", "mistral"];

    /// <summary>A text shorter than this is not taken for a template.</summary>
    public const int ShortestTemplate = 20;
}
