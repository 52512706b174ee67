using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints.Writing;

namespace MergeKit.Core.Merging.Execution;

/// <summary>One file of a result.</summary>
/// <param name="Name">Name within the folder.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
public sealed record OutputFile(string Name, long Length, string Sha256);

/// <summary>The list of every written file with its SHA-256, so that a copy can be checked anywhere.</summary>
public static class OutputManifest
{
    /// <summary>Its file name.</summary>
    public const string FileName = "mergekit_manifest.json";

    /// <summary>Hashes the small files, takes the weights' hashes as given, and writes the list.</summary>
    internal static IReadOnlyList<OutputFile> Write(OutputFolder folder, IReadOnlyList<OutputFile> weights)
    {
        var known = weights.Select(file => file.Name).ToHashSet(StringComparer.Ordinal);
        var others = OutputFolder.Guard(folder.Partial, () => Directory.EnumerateFiles(folder.Partial).Where(path => Path.GetFileName(path) is var name && !known.Contains(name) && name != Journal.FileName)
            .Select(path => new OutputFile(Path.GetFileName(path), new FileInfo(path).Length, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))))).ToList());
        var files = weights.Concat(others).OrderBy(file => file.Name, StringComparer.Ordinal).ToList();
        var list = new JsonArray([.. files.Select(file => new JsonObject { ["name"] = file.Name, ["bytes"] = file.Length, ["sha256"] = file.Sha256 })]);
        folder.WriteText(FileName, new JsonObject { ["files"] = list }.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        return files;
    }
}
