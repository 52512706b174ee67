using System.Globalization;
using System.IO.Hashing;
using System.Text;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging;

namespace MergeKit.Inference.Statistics;

/// <summary>Keeps recorded statistics in safetensors files whose headers say what they were made of, and uses them again for the same model, texts and
/// options. What does not change the numbers (threads, where the files lie) does not count.</summary>
public static class StatisticsStore
{
    private const string TokensKey = "tokens", Folder = "mergekit/statistics";

    /// <summary>Records statistics into a file, unless it has them already.</summary>
    /// <param name="path">The file; null for one in the user's cache, found again by what it is made of.</param>
    /// <param name="model">The model as a text; see <see cref="ModelInput.Open(string)"/>.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="options">What to record.</param>
    /// <param name="progress">Told the tokens seen so far after each window.</param>
    /// <param name="cancellation">Stops.</param>
    /// <returns>The file, the tokens behind it, the number of its tensors, and whether it was made now.</returns>
    /// <exception cref="InputException">The file exists and is of something else; the model or the texts cannot be used.</exception>
    public static (string Path, long Tokens, int Tensors, bool IsNew) Keep(
        string? path, string model, IReadOnlyList<string> texts, StatisticsOptions options, Action<long> progress, CancellationToken cancellation)
    {
        var facts = Facts(model, texts, options);
        path ??= CachePath(facts);
        if (File.Exists(path) && Kept(path, facts) is { } kept)
            return (path, kept.Tokens, kept.Tensors, false);
        if (Path.Exists(path))
            throw new InputException($"{path}: exists already and is no statistics file; name another file, or remove it first");
        var recorded = StatisticsRecorder.Record(model, texts, options, progress, cancellation);
        facts[TokensKey] = recorded.Tokens.ToString(CultureInfo.InvariantCulture);
        SafetensorsFile.Write(path, recorded.Tensors, facts);
        return (path, recorded.Tokens, recorded.Tensors.Count, true);
    }

    /// <summary>What a file's header says that it was made of, held against what is wanted.</summary>
    private static (long Tokens, int Tensors)? Kept(string path, SortedDictionary<string, string> facts)
    {
        using var file = Checkpoint.Open(path);
        var stated = file.Files[0].Metadata;
        if (!stated.TryGetValue(TokensKey, out var text) || !long.TryParse(text, CultureInfo.InvariantCulture, out var tokens))
            return null;
        var others = facts.Where(fact => stated.GetValueOrDefault(fact.Key) != fact.Value).ToList();
        return others.Count == 0 ? (tokens, file.Tensors.Count)
            : throw new InputException($"{path}: exists already, made of something else ({string.Join("; ", others.Select(fact => $"{fact.Key}: {stated.GetValueOrDefault(fact.Key, "unknown")}, wanted {fact.Value}"))}); name another file, or remove it first");
    }

    private static SortedDictionary<string, string> Facts(string model, IReadOnlyList<string> texts, StatisticsOptions options)
    {
        var facts = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["statistics"] = options.Kind == StatisticsKind.PerElement ? "diagonal Fisher information" : "input products",
            ["model"] = ModelHash(model),
            ["data"] = DataHash(texts),
            ["window"] = options.Window.ToString(CultureInfo.InvariantCulture),
            ["max_tokens"] = options.MostTokens.ToString(CultureInfo.InvariantCulture),
            ["tensors"] = options.Filter?.ToString() ?? "",
        };
        if (options.Kind == StatisticsKind.PerElement)
        {
            facts["labels"] = options.LabelsOfText ? "text" : $"sampled, seed {options.Seed}";
            facts["per"] = options.PerToken ? "token" : "sequence";
        }

        return facts;
    }

    /// <summary>Of the configuration, the tensors' names, types and shapes, and each file's length and time of change.</summary>
    private static string ModelHash(string model)
    {
        using var input = ModelInput.Open(model);
        var text = new StringBuilder(input.Config?.Json.ToJsonString());
        foreach (var tensor in input.Checkpoint.Tensors)
            text.Append(CultureInfo.InvariantCulture, $"\n{tensor.Name} {tensor.TypeText} {tensor.ShapeText}");
        foreach (var file in input.Checkpoint.Files)
            text.Append(CultureInfo.InvariantCulture, $"\n{Path.GetFileName(file.File)} {file.Length} {file.Changed.Ticks}");
        return $"{Path.GetFileName(Path.TrimEndingDirectorySeparator(model))} {Hash(text.ToString())}";
    }

    private static string DataHash(IReadOnlyList<string> texts)
    {
        var hash = new XxHash128();
        foreach (var text in texts)
        {
            hash.Append(Encoding.UTF8.GetBytes(text));
            hash.Append([0]);
        }

        return $"{texts.Count} texts {Convert.ToHexStringLower(hash.GetCurrentHash())}";
    }

    private static string Hash(string text) => Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(text)));

    private static string CachePath(SortedDictionary<string, string> facts)
    {
        var caches = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } set ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(caches, Folder, Hash(string.Join('\n', facts.Select(fact => $"{fact.Key}={fact.Value}"))) + ".safetensors");
    }
}
