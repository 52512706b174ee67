using System.Text.Json;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Reads what a run wrote: every safetensors file of the folder together, held against index and shard size.</summary>
internal static class OutputFolder
{
    private const string Index = "model.safetensors.index.json";

    /// <summary>All tensors of all safetensors files. Duplicates, oversized shards and an index that does not name every tensor are findings.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="shardLimit">The most bytes of tensors in a shard of more than one tensor; null for no limit.</param>
    /// <param name="findings">What is wrong.</param>
    public static SortedDictionary<string, LoadedTensor> Read(string folder, long? shardLimit, List<string> findings)
    {
        var tensors = new SortedDictionary<string, LoadedTensor>(StringComparer.Ordinal);
        if (!Directory.Exists(folder))
        {
            findings.Add($"no output folder {folder}");
            return tensors;
        }

        var files = Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal).ToList();
        var home = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var file in files)
            foreach (var (name, tensor) in ReadShard(file, shardLimit, findings))
                if (tensors.TryAdd(name, tensor))
                    home[name] = Path.GetFileName(file);
                else
                    findings.Add($"tensor '{name}' is in {home[name]} and in {Path.GetFileName(file)}");
        if (files.Count == 0)
            findings.Add($"no safetensors file in {folder}");
        CheckIndex(Path.Combine(folder, Index), files.Count, home, findings);
        return tensors;
    }

    private static SortedDictionary<string, LoadedTensor> ReadShard(string file, long? limit, List<string> findings)
    {
        try
        {
            var tensors = LoadedTensor.LoadAll(file);
            var bytes = tensors.Values.Sum(tensor => (long)tensor.Bytes.Length);
            if (bytes > limit && tensors.Count > 1)
                findings.Add($"{Path.GetFileName(file)} holds {tensors.Count} tensors of {bytes} bytes together; a shard may have {limit}");
            return tensors;
        }
        catch (MergeKitException e)
        {
            findings.Add(e.Message);
            return [];
        }
    }

    private static void CheckIndex(string path, int files, Dictionary<string, string> home, List<string> findings)
    {
        if (!File.Exists(path))
        {
            if (files > 1)
                findings.Add($"{files} shards without {Index}");
            return;
        }

        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        var map = json.RootElement.GetProperty("weight_map").EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetString());
        foreach (var (name, file) in home)
            if (!map.TryGetValue(name, out var named))
                findings.Add($"{Index} does not name tensor '{name}'");
            else if (named != file)
                findings.Add($"{Index} looks for tensor '{name}' in {named}; it is in {file}");
        foreach (var name in map.Keys.Except(home.Keys, StringComparer.Ordinal))
            findings.Add($"{Index} names tensor '{name}', which no file holds");
    }
}
