using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints;

/// <summary>Finds a checkpoint's files, validates every header and agrees index and shards. Reports all problems at once.</summary>
internal static class CheckpointOpener
{
    private const string SingleFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    public static Checkpoint Open(string path)
    {
        if (File.Exists(path))
        {
            var header = SafetensorsHeader.Read(path);
            return new Checkpoint(path, [header.AsFile], header.Tensors, []);
        }

        if (!Directory.Exists(path))
            throw new InputException($"{path}: no such model folder or file");
        if (File.Exists(Path.Combine(path, IndexFile)))
            return OpenIndexed(path);
        if (File.Exists(Path.Combine(path, SingleFile)))
            return OpenFiles(path, [Path.Combine(path, SingleFile)]);
        var files = Directory.GetFiles(path, "*.safetensors").Order(StringComparer.Ordinal).ToArray();
        return files.Length > 0 ? OpenFiles(path, files) : throw new InputException(NoWeights(path));
    }

    private static string NoWeights(string path)
    {
        var other = Directory.EnumerateFiles(path).Select(Path.GetFileName)
            .FirstOrDefault(name => Path.GetExtension(name) is ".bin" or ".pt" or ".pth" or ".gguf");
        var found = other is null ? "" : $" It has '{other}', a format that cannot be read yet: convert it to safetensors first.";
        return $"{path}: no weights: neither {SingleFile} nor {IndexFile} is in this folder.{found}";
    }

    private static Checkpoint OpenFiles(string path, IReadOnlyList<string> files)
    {
        var problems = new List<Problem>();
        var headers = ReadHeaders(files, problems);
        var seen = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var tensor in headers.SelectMany(header => header.Tensors))
            if (!seen.TryAdd(tensor.Name, tensor.File))
                problems.Add(Problem.Error($"{tensor.File}: tensor '{tensor.Name}' is also in {seen[tensor.Name]}, and no index says which one counts"));
        ThrowIfAny(problems);
        return new Checkpoint(path, [.. headers.Select(header => header.AsFile)], [.. headers.SelectMany(header => header.Tensors)], []);
    }

    private static Checkpoint OpenIndexed(string path)
    {
        var indexPath = Path.Combine(path, IndexFile);
        var problems = new List<Problem>();
        var map = ReadWeightMap(indexPath, problems);
        if (map.Count == 0 && problems.Count == 0)
            problems.Add(Problem.Error($"{indexPath}: its weight_map names no tensor"));
        var shards = map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        var usable = shards.Where(shard => CheckShardPath(path, indexPath, shard, problems)).Select(shard => Path.Combine(path, shard)).ToList();
        var headers = ReadHeaders(usable, problems);
        var inFile = headers.ToDictionary(header => header.File, header => header.Tensors.ToDictionary(t => t.Name, StringComparer.Ordinal), StringComparer.Ordinal);
        var tensors = new List<TensorInfo>();
        foreach (var (name, shard) in map)
        {
            if (!inFile.TryGetValue(Path.Combine(path, shard), out var content))
                continue; // already reported with the shard
            if (content.TryGetValue(name, out var tensor))
                tensors.Add(tensor);
            else
                problems.Add(Problem.Error($"{Path.Combine(path, shard)}: lacks tensor '{name}', which {IndexFile} places there"));
        }

        CheckRepeats(path, headers, map, problems);
        ThrowIfAny(problems);
        return new Checkpoint(path, [.. headers.Select(header => header.AsFile)], Order(tensors), Unlisted(headers, map, indexPath));
    }

    /// <summary>Loaders that read shard by shard would take another copy than the index says.</summary>
    private static void CheckRepeats(string path, List<SafetensorsHeader> headers, Dictionary<string, string> map, List<Problem> problems)
    {
        foreach (var group in headers.SelectMany(header => header.Tensors).Where(tensor => map.ContainsKey(tensor.Name)).GroupBy(tensor => tensor.Name, StringComparer.Ordinal))
            if (group.Skip(1).Any())
                problems.Add(Problem.Error($"{path}: tensor '{group.Key}' is stored in several shards: {string.Join(", ", group.Select(tensor => Path.GetFileName(tensor.File)))}"));
    }

    private static List<TensorInfo> Order(List<TensorInfo> tensors) =>
        [.. tensors.OrderBy(tensor => tensor.File, StringComparer.Ordinal).ThenBy(tensor => tensor.Offset)];

    private static List<Problem> Unlisted(List<SafetensorsHeader> headers, Dictionary<string, string> map, string indexPath) =>
        [.. headers.SelectMany(header => header.Tensors)
            .Where(tensor => !map.ContainsKey(tensor.Name))
            .Select(tensor => Problem.Warning($"{tensor.File}: tensor '{tensor.Name}' is not listed in {indexPath} and is ignored"))];

    private static List<SafetensorsHeader> ReadHeaders(IEnumerable<string> files, List<Problem> problems)
    {
        var headers = new List<SafetensorsHeader>();
        foreach (var file in files)
        {
            try
            {
                headers.Add(SafetensorsHeader.Read(file));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        return headers;
    }

    private static bool CheckShardPath(string folder, string indexPath, string shard, List<Problem> problems)
    {
        var root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + Path.DirectorySeparatorChar;
        if (shard.Contains('\0', StringComparison.Ordinal) || !Path.GetFullPath(Path.Combine(folder, shard)).StartsWith(root, StringComparison.Ordinal))
        {
            problems.Add(Problem.Error($"{indexPath}: names the shard '{shard}', which lies outside the model folder"));
            return false;
        }

        if (File.Exists(Path.Combine(folder, shard)))
            return true;
        problems.Add(Problem.Error($"{indexPath}: names the shard '{shard}', which is missing: {Path.Combine(folder, shard)}"));
        return false;
    }

    private static Dictionary<string, string> ReadWeightMap(string indexPath, List<Problem> problems)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(ReadIndex(indexPath));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var weightMap) || weightMap.ValueKind != JsonValueKind.Object)
                throw new InputException($"{indexPath}: has no object 'weight_map'");
            foreach (var entry in weightMap.EnumerateObject())
            {
                if (entry.Value.ValueKind != JsonValueKind.String)
                    problems.Add(Problem.Error($"{indexPath}: weight_map['{entry.Name}'] is {entry.Value.ValueKind}, a file name is wanted"));
                else if (!map.TryAdd(entry.Name, entry.Value.GetString()!))
                    problems.Add(Problem.Error($"{indexPath}: weight_map names '{entry.Name}' twice"));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InputException($"{indexPath}: not valid JSON: {e.Message}", e);
        }

        return map;
    }

    private static byte[] ReadIndex(string indexPath)
    {
        try
        {
            var length = new FileInfo(indexPath).Length;
            return length <= SafetensorsHeader.MaxHeaderBytes ? File.ReadAllBytes(indexPath)
                : throw new InputException($"{indexPath}: {length} bytes; an index of more than {SafetensorsHeader.MaxHeaderBytes} is not believed");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{indexPath}: cannot be read: {e.Message}", e);
        }
    }

    private static void ThrowIfAny(List<Problem> problems)
    {
        if (problems.Count > 0)
            throw new InputException(problems);
    }
}
