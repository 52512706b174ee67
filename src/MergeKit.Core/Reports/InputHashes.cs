using System.Security.Cryptography;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Reports;

/// <summary>SHA-256 of the inputs' weight files.</summary>
public static class InputHashes
{
    /// <summary>Hashes every weight file of every model: path to lower-case hexadecimal.</summary>
    public static IReadOnlyDictionary<string, string> Compute(MergePlan plan, CancellationToken cancellation) =>
        plan.Models.SelectMany(model => model.Checkpoint.Files).Select(file => file.File).Distinct(StringComparer.Ordinal)
            .AsParallel().AsOrdered().WithCancellation(cancellation).WithDegreeOfParallelism(plan.Options.Threads)
            .Select(path => (path, hash: Hash(path)))
            .ToDictionary(pair => pair.path, pair => pair.hash, StringComparer.Ordinal);

    private static string Hash(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }
}
