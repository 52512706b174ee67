namespace MergeKit.Core.Inputs;

/// <summary>The user's folder for what can be made again.</summary>
public static class UserCache
{
    /// <summary>A folder in XDG_CACHE_HOME, or in .cache in the home folder.</summary>
    public static string Folder(string name) => Path.Combine(Root, "mergekit", name);

    private static string Root => Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } set ? set
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
}
