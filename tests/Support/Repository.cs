namespace MergeKit.Tests.Support;

/// <summary>Where the repository and its fixtures lie, found from the test program's own folder.</summary>
public static class Repository
{
    /// <summary>The folder that holds MergeKit.Net.sln.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder laid out like the reference data: conformance/, models/, eval/.
    /// <c>MERGEKIT_CONFORMANCE_ROOT</c> names another one.</summary>
    public static string Fixtures { get; } =
        Environment.GetEnvironmentVariable("MERGEKIT_CONFORMANCE_ROOT") is { Length: > 0 } root
            ? Path.GetFullPath(root)
            : Path.Combine(Root, "tests", "fixtures");

    /// <summary>Whether cases of features that are not built yet are run, and fail, instead of being left out.</summary>
    public static bool RunUnbuilt { get; } = Environment.GetEnvironmentVariable("MERGEKIT_CONFORMANCE_ALL") == "1";

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "MergeKit.Net.sln")))
                return folder.FullName;
        throw new DirectoryNotFoundException($"no MergeKit.Net.sln above {AppContext.BaseDirectory}");
    }
}
