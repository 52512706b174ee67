namespace MergeKit.Core.Diagnostics;

/// <summary>How much a <see cref="Problem"/> weighs.</summary>
public enum Severity
{
    /// <summary>Worth knowing; changes nothing.</summary>
    Note,

    /// <summary>The work goes on, but the result may not be what was meant.</summary>
    Warning,

    /// <summary>The work cannot be done.</summary>
    Error,
}

/// <summary>A place in a text file, counted from one.</summary>
public readonly record struct SourceLocation(string File, int Line, int Column)
{
    /// <inheritdoc/>
    public override string ToString() => $"{File}:{Line}:{Column}";
}

/// <summary>One thing found wrong: what was seen, what was wanted, and where.</summary>
/// <param name="Severity">How much it weighs.</param>
/// <param name="Message">One sentence or two that name the file, tensor or key, the value seen and the value wanted.</param>
/// <param name="Location">The place in a recipe, where there is one.</param>
public sealed record Problem(Severity Severity, string Message, SourceLocation? Location = null)
{
    /// <summary>An error at an optional place.</summary>
    public static Problem Error(string message, SourceLocation? location = null) => new(Severity.Error, message, location);

    /// <summary>A warning at an optional place.</summary>
    public static Problem Warning(string message, SourceLocation? location = null) => new(Severity.Warning, message, location);

    /// <summary>A note at an optional place.</summary>
    public static Problem Note(string message, SourceLocation? location = null) => new(Severity.Note, message, location);

    /// <inheritdoc/>
    public override string ToString()
    {
        var kind = Severity switch { Severity.Error => "error", Severity.Warning => "warning", _ => "note" };
        return Location is { } at ? $"{at}: {kind}: {Message}" : $"{kind}: {Message}";
    }
}
