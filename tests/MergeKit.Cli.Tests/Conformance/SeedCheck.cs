namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Three outputs of one random merge: twice with one seed, once with another.</summary>
internal static class SeedCheck
{
    public static void Compare(string first, string again, string otherSeed, List<string> findings)
    {
        var (a, b, c) = (Read(first), Read(again), Read(otherSeed));
        if (!a.Keys.SequenceEqual(b.Keys) || a.Any(file => !file.Value.AsSpan().SequenceEqual(b[file.Key])))
            findings.Add("the same seed gave two different results");
        if (a.Keys.SequenceEqual(c.Keys) && a.All(file => file.Value.AsSpan().SequenceEqual(c[file.Key])))
            findings.Add("another seed gave the same result");
    }

    private static SortedDictionary<string, byte[]> Read(string folder) => new(
        Directory.GetFiles(folder, "*.safetensors").ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes), StringComparer.Ordinal);
}
