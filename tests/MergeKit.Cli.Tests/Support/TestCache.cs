using System.Runtime.CompilerServices;

namespace MergeKit.Cli.Tests.Support;

/// <summary>Keeps what is cached for users out of the user's own folder.</summary>
internal static class TestCache
{
    [ModuleInitializer]
    internal static void Redirect()
    {
        var folder = Directory.CreateTempSubdirectory("mergekit-cache-").FullName;
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", folder);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
    }
}
