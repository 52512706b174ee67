using System.Security.Cryptography;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Every file below a folder with the SHA-256 of its bytes.</summary>
internal static class FolderContent
{
    public static SortedDictionary<string, string> Read(string folder)
    {
        var content = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            using var stream = File.OpenRead(path);
            content.Add(Path.GetRelativePath(folder, path), Convert.ToHexString(SHA256.HashData(stream)));
        }

        return content;
    }
}
