namespace MergeKit.Core.Templating;

/// <summary>How a template is read and rendered: the environment settings of Jinja2 that change results, and bounds against hostile templates.</summary>
public sealed record TemplateOptions
{
    /// <summary>The environment of chat templates: blocks trimmed, undefined names empty, values immutable, JSON without HTML escapes.</summary>
    public static TemplateOptions Chat { get; } = new() { TrimBlocks = true, LeftStripBlocks = true, Immutable = true };

    /// <summary>The environment of evaluation prompts: undefined names are errors, the trailing newline stays, blocks are not trimmed.</summary>
    public static TemplateOptions Prompt { get; } = new() { KeepTrailingNewline = true, StrictUndefined = true, HtmlSafeJson = true };

    /// <summary>Removes the first newline after a block tag (<c>trim_blocks</c>).</summary>
    public bool TrimBlocks { get; init; }

    /// <summary>Removes white space from the start of a line to a block tag (<c>lstrip_blocks</c>).</summary>
    public bool LeftStripBlocks { get; init; }

    /// <summary>Keeps a single newline at the end of the source (<c>keep_trailing_newline</c>).</summary>
    public bool KeepTrailingNewline { get; init; }

    /// <summary>Using an undefined value is an error, instead of an empty string, false or an empty sequence.</summary>
    public bool StrictUndefined { get; init; }

    /// <summary>Methods that change lists and dictionaries are refused.</summary>
    public bool Immutable { get; init; }

    /// <summary><c>tojson</c> sorts keys and escapes non-ASCII characters and HTML, as plain Jinja2 does; otherwise it keeps both as they are.</summary>
    public bool HtmlSafeJson { get; init; }

    /// <summary>The name used in error messages, normally the file.</summary>
    public string Name { get; init; } = "template";

    /// <summary>The clock behind <c>strftime_now</c>.</summary>
    public Func<DateTime> Clock { get; init; } = () => DateTime.Now;

    /// <summary>The most work a rendering may do: evaluated nodes plus the length of every value made.</summary>
    public long MaxSteps { get; init; } = 50_000_000;

    /// <summary>The most characters a rendering may write.</summary>
    public int MaxOutput { get; init; } = 16 << 20;

    /// <summary>The deepest nesting of macro calls and recursive loops.</summary>
    public int MaxDepth { get; init; } = 200;

    /// <summary>The deepest nesting of tags and brackets in the source.</summary>
    public int MaxNesting { get; init; } = 100;
}
