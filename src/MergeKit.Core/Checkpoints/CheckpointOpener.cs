using System.Text.Json;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Checkpoints.Stored;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints;

/// <summary>Finds a checkpoint's files, validates every header and agrees index and shards. Reports all problems at once.</summary>
internal static class CheckpointOpener
{
    private const string SafetensorsIndex = "model.safetensors.index.json";

    /// <summary>Indices, then single files, in the order of preference.</summary>
    private static readonly string[] Indices = [SafetensorsIndex, "pytorch_model.bin.index.json"];

    private static readonly string[] SingleFiles = ["model.safetensors", "pytorch_model.bin"];

    private static readonly string[] Patterns = ["*.safetensors", "pytorch_model*.bin", "*.gguf", "*.pt", "*.pth"];

    public static Checkpoint Open(string path)
    {
        if (File.Exists(path))
            return Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase) ? GgufModel.Open(path) : OpenFiles(path, [path]);
        if (!Directory.Exists(path))
            throw new InputException($"{path}: no such model folder or file");
        if (Indices.FirstOrDefault(name => File.Exists(Path.Combine(path, name))) is { } index)
            return OpenIndexed(path, index);
        if (SingleFiles.FirstOrDefault(name => File.Exists(Path.Combine(path, name))) is { } single)
            return OpenFiles(path, [Path.Combine(path, single)]);
        foreach (var pattern in Patterns)
            if (Directory.GetFiles(path, pattern).Order(StringComparer.Ordinal).ToArray() is { Length: > 0 } files)
                return pattern == "*.gguf" ? GgufModel.Open(GgufModel.OnlyFile(path)) : OpenFiles(path, files);
        throw new InputException($"{path}: no weights: no safetensors, PyTorch (pytorch_model.bin) or GGUF file is in this folder");
    }

    private static Checkpoint OpenFiles(string path, IReadOnlyList<string> files)
    {
        var problems = new List<Problem>();
        var opened = ReadFiles(files, problems);
        var seen = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var tensor in opened.SelectMany(file => file.Tensors))
            if (!seen.TryAdd(tensor.Name, tensor.File))
                problems.Add(Problem.Error($"{tensor.File}: tensor '{tensor.Name}' is also in {seen[tensor.Name]}, and no index says which one counts"));
        ThrowIfAny(problems);
        return Finish(path, opened, [.. opened.SelectMany(file => file.Tensors)], []);
    }

    private static Checkpoint Finish(string path, List<WeightFile> files, List<TensorInfo> tensors, List<Problem> warnings)
    {
        warnings.AddRange(files.SelectMany(file => file.Warnings));
        var plain = new Checkpoint(path, [.. files.Select(file => file.File)], tensors, warnings, [.. tensors.Select(tensor => tensor.Content).OfType<IDisposable>()]);
        return QuantizedModel.Decode(plain);
    }

    private static Checkpoint OpenIndexed(string path, string indexName)
    {
        var indexPath = Path.Combine(path, indexName);
        var problems = new List<Problem>();
        var map = ReadWeightMap(indexPath, problems);
        if (map.Count == 0 && problems.Count == 0)
            problems.Add(Problem.Error($"{indexPath}: its weight_map names no tensor"));
        var shards = map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        var usable = shards.Where(shard => CheckShardPath(path, indexPath, shard, problems)).Select(shard => Path.Combine(path, shard)).ToList();
        var files = ReadFiles(usable, problems);
        var inFile = files.ToDictionary(file => file.File.File, file => file.Tensors.ToDictionary(t => t.Name, StringComparer.Ordinal), StringComparer.Ordinal);
        var tensors = new List<TensorInfo>();
        foreach (var (name, shard) in map)
        {
            if (!inFile.TryGetValue(Path.Combine(path, shard), out var content))
                continue; // already reported with the shard
            if (content.TryGetValue(name, out var tensor))
                tensors.Add(tensor);
            else
                problems.Add(Problem.Error($"{Path.Combine(path, shard)}: lacks tensor '{name}', which {indexName} places there"));
        }

        CheckRepeats(path, files, map, problems);
        ThrowIfAny(problems);
        return Finish(path, files, Order(tensors), Unlisted(files, map, indexPath));
    }

    /// <summary>Loaders that read shard by shard would take another copy than the index says.</summary>
    private static void CheckRepeats(string path, List<WeightFile> files, Dictionary<string, string> map, List<Problem> problems)
    {
        foreach (var group in files.SelectMany(file => file.Tensors).Where(tensor => map.ContainsKey(tensor.Name)).GroupBy(tensor => tensor.Name, StringComparer.Ordinal))
            if (group.Skip(1).Any())
                problems.Add(Problem.Error($"{path}: tensor '{group.Key}' is stored in several shards: {string.Join(", ", group.Select(tensor => Path.GetFileName(tensor.File)))}"));
    }

    private static List<TensorInfo> Order(List<TensorInfo> tensors) =>
        [.. tensors.OrderBy(tensor => tensor.File, StringComparer.Ordinal).ThenBy(tensor => tensor.Offset)];

    private static List<Problem> Unlisted(List<WeightFile> files, Dictionary<string, string> map, string indexPath) =>
        [.. files.SelectMany(file => file.Tensors)
            .Where(tensor => !map.ContainsKey(tensor.Name))
            .Select(tensor => Problem.Warning($"{tensor.File}: tensor '{tensor.Name}' is not listed in {indexPath} and is ignored"))];

    private static List<WeightFile> ReadFiles(IEnumerable<string> paths, List<Problem> problems)
    {
        var files = new List<WeightFile>();
        foreach (var path in paths)
        {
            try
            {
                files.Add(WeightFile.Read(path));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        return files;
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
