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

    /// <summary>A file of the evaluation data, or null where it is not at hand. Looked for in the fixtures, then in
    /// <c>MERGEKIT_EVAL_ROOT</c>, then in the reference data beside the repository (most of these texts may not be copied into it).</summary>
    public static string? EvalFile(string domain, string file)
    {
        var roots = new[]
        {
            Path.Combine(Fixtures, "eval"),
            Environment.GetEnvironmentVariable("MERGEKIT_EVAL_ROOT"),
            Path.Combine(Root, "..", "shared", "eval"),
        };
        return roots.Where(root => !string.IsNullOrEmpty(root))
            .Select(root => Path.GetFullPath(Path.Combine(root!, domain, file)))
            .FirstOrDefault(File.Exists);
    }

    /// <summary>Like <see cref="EvalFile"/> for a test that cannot go on without the text: where it is absent the test fails on a
    /// build server (<c>CI=true</c>) or in a conformance run, and is reported as not run elsewhere; it never passes.</summary>
    public static string RequireEvalFile(string domain, string file)
    {
        if (EvalFile(domain, file) is { } path)
            return path;
        var message = $"not run: the evaluation text {domain}/{file} is neither in the fixtures nor in the reference data beside the repository";
        if (RunUnbuilt || Environment.GetEnvironmentVariable("CI") == "true")
            Assert.Fail(message);
        Assert.Skip(message);
        return message;
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "MergeKit.Net.sln")))
                return folder.FullName;
        throw new DirectoryNotFoundException($"no MergeKit.Net.sln above {AppContext.BaseDirectory}");
    }
}
