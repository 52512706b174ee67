using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Templating;

/// <summary>A template that cannot be read or rendered, or that refuses its input.</summary>
public sealed class TemplateException : MergeKitException
{
    internal TemplateException(string template, int line, string reason, bool raised, Exception? inner = null)
        : base($"{template}:{line}: {reason}", inner) => (Line, Reason, Raised) = (line, reason, raised);

    /// <summary>The line of the template, counted from one.</summary>
    public int Line { get; }

    /// <summary>What is wrong, without the place.</summary>
    public string Reason { get; }

    /// <summary>Whether the template itself refused its input by calling <c>raise_exception</c>; then <see cref="Reason"/> is its message.</summary>
    public bool Raised { get; }
}

/// <summary>A failure below the level that knows the line; <see cref="Template"/> adds the place.</summary>
internal sealed class TemplateFault(string reason, bool raised = false) : Exception(reason)
{
    public bool Raised { get; } = raised;
}
