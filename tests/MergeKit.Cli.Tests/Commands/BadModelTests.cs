using System.Text;
using System.Text.Json.Nodes;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Every way in which a model folder can be broken gives one clear message, exit code 2, and nothing under the final name.</summary>
public class BadModelTests
{
    private const string Weights = "model.safetensors", Index = "model.safetensors.index.json";

    private static readonly Dictionary<string, (Action<string> Break, string[] Wanted)> Table = new()
    {
        ["truncated data"] = (m => Cut(m, length => length - 1), ["truncated", "tensors end at byte"]),
        ["truncated header"] = (m => Cut(m, _ => 200), ["truncated", "header takes"]),
        ["truncated length"] = (m => Cut(m, _ => 5), ["truncated or not a safetensors file", "5 bytes"]),
        ["empty file"] = (m => Cut(m, _ => 0), ["truncated or not a safetensors file"]),
        ["header longer than the file"] = (m => Prefix(m, 1_000_000), ["truncated", "header takes 1000000 bytes"]),
        ["header length bomb"] = (m => Prefix(m, ulong.MaxValue), ["states a header of 18446744073709551615 bytes"]),
        ["header of 2^63"] = (m => Prefix(m, 1UL << 63), ["states a header of"]),
        ["not JSON"] = (m => Header(m, "hello"), ["not valid JSON"]),
        ["not an object"] = (m => Header(m, "[]"), ["not valid JSON of the safetensors form"]),
        ["something after the object"] = (m => Header(m, "{} {}"), ["not valid JSON of the safetensors form"]),
        ["deep nesting"] = (m => Header(m, new string('[', 100_000)), ["not valid JSON of the safetensors form"]),
        ["NaN"] = (m => Entry(m, """{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}"""), ["not valid JSON of the safetensors form"]),
        ["negative extent"] = (m => Entry(m, """{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"""), ["non-negative"]),
        ["fractional extent"] = (m => Entry(m, """{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}"""), ["non-negative integers"]),
        ["unknown dtype"] = (m => Entry(m, """{"dtype":"F7","shape":[1],"data_offsets":[0,4]}"""), ["tensor 'x'", "dtype 'F7'", "known: "]),
        ["missing key"] = (m => Entry(m, """{"dtype":"F32","shape":[1]}"""), ["tensor 'x' lacks"]),
        ["unknown key"] = (m => Entry(m, """{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1}"""), ["unknown or repeated key 'extra'"]),
        ["wrong byte count"] = (m => Entry(m, """{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"""), ["tensor 'x' (F32 [2]) needs 8 bytes", "give 4"]),
        ["reversed offsets"] = (m => Entry(m, """{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"""), ["tensor 'x'", "[4, 0]"]),
        ["overflowing shape"] = (m => Entry(m, """{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}"""), ["larger than any file"]),
        ["overflowing offsets"] = (m => Entry(m, """{"dtype":"I8","shape":[3],"data_offsets":[9223372036854775804,9223372036854775807]}"""), ["larger than any file"]),
        ["offset out of range"] = (m => Entry(m, """{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"""), ["unaccounted bytes"]),
        ["bytes left over"] = (m => File.AppendAllText(Path.Combine(m, Weights), "xy"), ["2 bytes after the last tensor"]),
        ["duplicate name"] = (m => Header(m, """{"x":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"x":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}}"""), ["names 'x' twice"]),
        ["overlap"] = (m => Header(m, """{"x":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}}"""), ["tensor 'y' overlaps 'x'"]),
        ["hole"] = (m => Header(m, """{"x":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}}"""), ["1 unaccounted bytes between 'x' and tensor 'y'"]),
        ["name with line ends"] = (m => Header(m, """{"a\nb\u001b[31m":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}"""), ["tensor 'a\\u000ab\\u001b[31m'"]),
        ["name that is no text"] = (m => Header(m, """{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"""), ["not valid JSON of the safetensors form"]),
        ["index names a missing shard"] = (m => IndexWith(m, "gone.safetensors"), ["names the shard 'gone.safetensors', which is missing"]),
        ["index leaves the folder"] = (m => IndexWith(m, "../a/model.safetensors"), ["'../a/model.safetensors'", "outside the model folder"]),
        ["index leaves the folder by an absolute path"] = (m => IndexWith(m, "/etc/passwd"), ["'/etc/passwd'", "outside the model folder"]),
        ["index leaves the folder after a detour"] = (m => IndexWith(m, "sub/../../a/model.safetensors"), ["outside the model folder"]),
        ["index names a shard with a zero byte"] = (m => IndexWith(m, "x\0y"), ["outside the model folder"]),
        ["index names a tensor that the shard lacks"] = (m => IndexWith(m, Weights, "model.extra.weight"), ["lacks tensor 'model.extra.weight'"]),
        ["index is not JSON"] = (m => File.WriteAllText(Path.Combine(m, Index), "{"), [Index, "not valid JSON"]),
        ["index without a map"] = (m => File.WriteAllText(Path.Combine(m, Index), "{}"), ["has no object 'weight_map'"]),
        ["index with an empty map"] = (m => File.WriteAllText(Path.Combine(m, Index), """{"weight_map": {}}"""), ["names no tensor"]),
        ["index with a number for a shard"] = (m => File.WriteAllText(Path.Combine(m, Index), """{"weight_map": {"x": 3}}"""), ["weight_map['x'] is Number"]),
        ["index names a tensor twice"] = (m => File.WriteAllText(Path.Combine(m, Index), """{"weight_map": {"x": "model.safetensors", "x": "model.safetensors"}}"""), ["'x' twice"]),
        ["a tensor in two shards"] = (TwoShards, ["is stored in several shards", "model.safetensors", "second.safetensors"]),
        ["a tensor in two files without an index"] = (TwoFiles, ["no index says which one counts"]),
        ["a missing tensor"] = (m => SafetensorsFile.Write(Path.Combine(m, Weights), SyntheticModel.Filled("model.norm.weight", DType.F32, [64], 1)), ["lacks a tensor", "model.embed_tokens.weight"]),
        ["no weights"] = (m => File.Delete(Path.Combine(m, Weights)), ["no weights"]),
        ["only .gguf"] = (m => File.Move(Path.Combine(m, Weights), Path.Combine(m, "model.gguf")), ["model.gguf", "not a GGUF file"]),
        ["no folder"] = (m => Directory.Delete(m, recursive: true), ["there is no such folder"]),
        ["no config"] = (m => File.Delete(Path.Combine(m, "config.json")), ["has no config.json"]),
        ["config is not JSON"] = (m => File.WriteAllText(Path.Combine(m, "config.json"), "{'a': 1}"), ["config.json", "not valid JSON"]),
        ["config is a list"] = (m => File.WriteAllText(Path.Combine(m, "config.json"), "[1]"), ["config.json", "not a JSON object"]),
        ["config says a key twice"] = (m => File.WriteAllText(Path.Combine(m, "config.json"), """{"a": 1, "a": 2}"""), ["config.json", "not valid JSON"]),
        ["different head counts"] = (m => Config(m, "num_attention_heads", 8), ["config key 'num_attention_heads' differs", "has 4", "has 8"]),
        ["layers beyond belief"] = (m => Config(m, "num_hidden_layers", 99_999_999_999), ["num_hidden_layers is 99999999999"]),
        ["layers beyond memory"] = (m => Config(m, "num_hidden_layers", 200_000_000), ["num_hidden_layers is 200000000"]),
        ["fewer than no layers"] = (m => Config(m, "num_hidden_layers", -3), ["num_hidden_layers", "-3"]),
        ["layers in words"] = (m => Config(m, "num_hidden_layers", "two"), ["num_hidden_layers", "\"two\""]),
        ["tied in words"] = (m => Config(m, "tie_word_embeddings", "no"), ["tie_word_embeddings", "true or false"]),
        ["architectures in numbers"] = (m => Config(m, "architectures", 7), ["different architectures"]),
        ["another architecture"] = (m => Config(m, "architectures", new JsonArray("MistralForCausalLM")), ["different architectures", "--allow-crimes"]),
        ["a layer number beyond belief"] = (m => SyntheticModel.Unknown(m, SyntheticModel.Filled("h.2147483647.w", DType.F32, [4], 1)), ["2147483648 layers"]),
    };

    public static TheoryData<string> Cases => [.. Table.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_is_named_clearly(string name)
    {
        using var scratch = TemporaryFolder.InMemory(10_000_000);
        foreach (var (model, seed) in new[] { ("a", 1), ("b", 2) })
            SyntheticModel.Llama(scratch.Join(model), seed, DType.F32);
        File.WriteAllText(scratch.Join("recipe.yml"), "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n");
        Table[name].Break(scratch.Join("b"));
        var result = CommandLine.Run(["run", "recipe.yml", "out", "-C", scratch.Path]);
        CheckRefusal(result, 2, Table[name].Wanted);
        Assert.False(Path.Exists(scratch.Join("out")));
        var plan = CommandLine.Run(["plan", "recipe.yml", "--summary", "-C", scratch.Path]);
        Assert.Equal((2, result.Messages.Count), (plan.ExitCode, plan.Messages.Count));
    }

    /// <summary>The exit code, lines of one message each without repetition or stack trace, and the words wanted all in one of them.</summary>
    internal static void CheckRefusal(RunResult result, int code, params string[] wanted)
    {
        Assert.Equal(code, result.ExitCode);
        var lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(lines.Distinct(), lines);
        Assert.All(lines, line => Assert.Matches("^(.*:[0-9]+:[0-9]+: )?(error|warning|note): ", line));
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
        Assert.Contains(lines, line => line.Contains("error: ", StringComparison.Ordinal) && wanted.All(text => line.Contains(text, StringComparison.Ordinal)));
    }

    private static void Cut(string model, Func<long, long> length)
    {
        using var file = File.OpenWrite(Path.Combine(model, Weights));
        file.SetLength(length(file.Length));
    }

    private static void Prefix(string model, ulong headerLength)
    {
        using var file = File.OpenWrite(Path.Combine(model, Weights));
        file.Write(BitConverter.GetBytes(headerLength));
    }

    /// <summary>A file with this header and four bytes of data.</summary>
    private static void Header(string model, string json)
    {
        var bytes = Encoding.UTF8.GetBytes(json);
        File.WriteAllBytes(Path.Combine(model, Weights), [.. BitConverter.GetBytes((ulong)bytes.Length), .. bytes, 0, 0, 0, 0]);
    }

    private static void Entry(string model, string entry) => Header(model, $$"""{"x":{{entry}}}""");

    private static void IndexWith(string model, string shard, string? extra = null)
    {
        var map = new JsonObject(LoadedTensor.LoadAll(model).Keys.Select(name => KeyValuePair.Create(name, (JsonNode?)shard)));
        if (extra is not null)
            map[extra] = shard;
        File.WriteAllText(Path.Combine(model, Index), new JsonObject { ["weight_map"] = map }.ToJsonString());
    }

    private static void TwoShards(string model)
    {
        IndexWith(model, Weights);
        var index = JsonNode.Parse(File.ReadAllText(Path.Combine(model, Index)))!;
        index["weight_map"]!["model.norm.weight"] = "second.safetensors";
        File.WriteAllText(Path.Combine(model, Index), index.ToJsonString());
        SafetensorsFile.Write(Path.Combine(model, "second.safetensors"), SyntheticModel.Filled("model.norm.weight", DType.F32, [64], 1));
    }

    private static void TwoFiles(string model)
    {
        File.Move(Path.Combine(model, Weights), Path.Combine(model, "first.safetensors"));
        File.Copy(Path.Combine(model, "first.safetensors"), Path.Combine(model, "second.safetensors"));
    }

    private static void Config(string model, string key, JsonNode value)
    {
        var path = Path.Combine(model, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!;
        config[key] = value;
        File.WriteAllText(path, config.ToJsonString());
    }
}
