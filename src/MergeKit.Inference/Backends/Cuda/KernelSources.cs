using System.Collections.Frozen;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The device code, embedded in the assembly.</summary>
internal static class KernelSources
{
    private const string Prefix = "cuda/";

    /// <summary>Headers by the name under which they are included.</summary>
    public static FrozenDictionary<string, string> Headers { get; } = Read(".cuh").ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Sources by name without the ending.</summary>
    public static FrozenDictionary<string, string> Sources { get; } =
        Read(".cu").ToFrozenDictionary(pair => Path.GetFileNameWithoutExtension(pair.Key), pair => pair.Value, StringComparer.Ordinal);

    private static IEnumerable<KeyValuePair<string, string>> Read(string ending)
    {
        var assembly = typeof(KernelSources).Assembly;
        foreach (var resource in assembly.GetManifestResourceNames())
        {
            if (!resource.StartsWith(Prefix, StringComparison.Ordinal) || !resource.EndsWith(ending, StringComparison.Ordinal))
                continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            yield return new(resource[Prefix.Length..], reader.ReadToEnd());
        }
    }
}
