using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Templating;

/// <summary>Chat templates that go by a name: the formats of widely used models, in our own wording. They hold no line break that is not part of the format.</summary>
public static class KnownTemplates
{
    private const string Prefix = "MergeKit.Core.Templating.Known.", Suffix = ".jinja";

    /// <summary>Their names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. typeof(KnownTemplates).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal) && name.EndsWith(Suffix, StringComparison.Ordinal))
        .Select(name => name[Prefix.Length..^Suffix.Length]).Order(StringComparer.Ordinal)];

    /// <summary>The text of one.</summary>
    /// <exception cref="InputException">There is none of that name.</exception>
    public static string Get(string name)
    {
        using var stream = typeof(KnownTemplates).Assembly.GetManifestResourceStream(Prefix + name + Suffix)
            ?? throw new InputException($"there is no chat template '{name}'; known: {string.Join(", ", Names)}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
