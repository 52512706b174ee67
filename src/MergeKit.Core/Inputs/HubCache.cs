using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs;

/// <summary>Finds models by hub id in Hugging Face's local cache; nothing is fetched. Layout: <c>models--ORG--NAME/refs/REVISION</c> holds a commit,
/// <c>models--ORG--NAME/snapshots/COMMIT</c> the files (huggingface_hub, "Manage huggingface_hub cache-system").</summary>
public static class HubCache
{
    /// <summary>The cache's folder: HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else .cache/huggingface/hub in the home folder.</summary>
    public static string Folder()
    {
        if (Set("HF_HUB_CACHE") is { } cache)
            return cache;
        if (Set("HF_HOME") is { } home)
            return Path.Combine(home, "hub");
        var caches = Set("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(caches, "huggingface", "hub");
    }

    /// <summary>Whether a text can be a hub id: <c>name</c> or <c>organisation/name</c> of letters, digits, dot, dash and underscore.</summary>
    public static bool IsId(string text) =>
        text.Split('/') is { Length: 1 or 2 } parts && parts.All(part => part.Length > 0 && part[0] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'));

    /// <summary>The snapshot of a model.</summary>
    /// <param name="id">The hub id.</param>
    /// <param name="revision">Branch, tag or commit; null for <c>main</c>.</param>
    /// <exception cref="InputException">It is not in the cache, or not at that revision.</exception>
    public static string Find(string id, string? revision)
    {
        var (root, model) = (Folder(), $"models--{id.Replace("/", "--", StringComparison.Ordinal)}");
        var folder = Path.Combine(root, model);
        if (!Directory.Exists(folder))
            throw new InputException($"model '{id}': there is no such folder, and it is not in the Hugging Face cache ({root}): fetch it first (huggingface-cli download {id}), or give the path of a local copy");
        var wanted = revision ?? "main";
        if (wanted.Split('/', '\\').Contains("..") || wanted.Contains('\0', StringComparison.Ordinal) || Path.IsPathRooted(wanted))
            throw new InputException($"model '{id}': the revision '{wanted}' is not the name of a branch, tag or commit");
        var reference = Path.Combine(folder, "refs", wanted);
        var commit = File.Exists(reference) ? File.ReadAllText(reference).Trim() : wanted;
        var snapshot = Path.Combine(folder, "snapshots", commit);
        if (commit.Length > 0 && Directory.Exists(snapshot))
            return snapshot;
        throw new InputException($"model '{id}': revision '{wanted}' is not in the Hugging Face cache ({folder}); there: {Known(folder)}");
    }

    private static string Known(string folder)
    {
        var references = Path.Combine(folder, "refs");
        var snapshots = Path.Combine(folder, "snapshots");
        List<string> names =
        [
            .. Directory.Exists(references) ? Directory.EnumerateFiles(references, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(references, path)) : [],
            .. Directory.Exists(snapshots) ? Directory.EnumerateDirectories(snapshots).Select(path => Path.GetFileName(path)!) : [],
        ];
        return names.Count == 0 ? "nothing" : string.Join(", ", names.Order(StringComparer.Ordinal).Take(8));
    }

    private static string? Set(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;
}
