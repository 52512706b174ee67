using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>A model as a recipe names it: a folder, a file or a hub id, perhaps at a revision, perhaps with a LoRA adapter to fold in.
/// Two references are equal when all but their <see cref="Location"/> is equal.</summary>
/// <param name="Path">Folder, file, <c>organisation/name</c> or the name of another document of the same file.</param>
/// <param name="Revision">Branch, tag or commit of a hub model.</param>
/// <param name="Adapter">Path or hub id of the adapter.</param>
/// <param name="AdapterRevision">The adapter's revision.</param>
/// <param name="OverrideArchitecture">The architecture to assume instead of the one that the model's config names.</param>
/// <param name="Location">Where it was written.</param>
public sealed record ModelReference(
    string Path, string? Revision, string? Adapter, string? AdapterRevision, string? OverrideArchitecture, SourceLocation Location)
{
    /// <inheritdoc/>
    public bool Equals(ModelReference? other) => other is not null && Identity == other.Identity;

    /// <inheritdoc/>
    public override int GetHashCode() => Identity.GetHashCode();

    /// <summary>mergekit's text form: <c>path[@revision][+adapter[@revision]]</c>.</summary>
    public override string ToString()
    {
        var model = WithRevision(Path, Revision);
        return Adapter is null ? model : $"{model}+{WithRevision(Adapter, AdapterRevision)}";
    }

    /// <summary>Reads the text form <c>path[@revision][+adapter[@revision]]</c>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="location">Where it stands.</param>
    /// <param name="problem">What is wrong with it, in words that fit after the text and a colon; null when all is well.</param>
    /// <returns>The reference, or null with a <paramref name="problem"/>.</returns>
    public static ModelReference? TryParse(string text, SourceLocation location, out string? problem)
    {
        var parts = text.Split('+');
        if (parts.Length > 2)
        {
            problem = "only one adapter may follow a model (MODEL+ADAPTER); for a path with '+' in it use the form {model: {path: ...}}";
            return null;
        }

        if (!TryParsePath(parts[0], out var path, out var revision, out problem))
            return null;
        if (parts.Length == 1)
            return new ModelReference(path, revision, null, null, null, location);
        return TryParsePath(parts[1], out var adapter, out var adapterRevision, out problem)
            ? new ModelReference(path, revision, adapter, adapterRevision, null, location)
            : null;
    }

    /// <summary>Reads <c>path[@revision]</c>.</summary>
    internal static bool TryParsePath(string text, out string path, out string? revision, out string? problem)
    {
        var parts = text.Split('@');
        path = parts[0].Trim();
        revision = parts.Length > 1 ? parts[1].Trim() : null;
        problem = parts.Length > 2
            ? "only one '@' may stand in a model (PATH@REVISION); for a path with '@' in it use the form {model: {path: ..., revision: ...}}"
            : path.Length == 0 ? "the path is empty"
            : revision is { Length: 0 } ? "the revision after '@' is empty"
            : path.Contains('\0', StringComparison.Ordinal) ? "a path cannot contain a NUL character"
            : null;
        return problem is null;
    }

    private (string, string?, string?, string?, string?) Identity => (Path, Revision, Adapter, AdapterRevision, OverrideArchitecture);

    private static string WithRevision(string path, string? revision) => revision is null ? path : $"{path}@{revision}";
}
