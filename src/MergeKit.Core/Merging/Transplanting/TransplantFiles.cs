using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>The files beside the weights: the donor's tokenizer, the model's configuration with the donor's token ids.</summary>
internal static class TransplantFiles
{
    private const string Generation = "generation_config.json";
    private static readonly string[] Roles = ["bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "decoder_start_token_id"];

    public static void Decide(MergePlan plan, LoadedModel donor, Tokenizer mine, Tokenizer theirs, int rows, List<Problem> problems)
    {
        var config = ModelConfig.Parse("config.json", plan.ConfigJson!).Json;
        config["vocab_size"] = rows;
        if (config["text_config"] is JsonObject text && text.ContainsKey("vocab_size"))
            text["vocab_size"] = rows;
        TakeIds(config, donor.Config!.Json);
        plan.ConfigJson = OutputConfig.Text(config);
        var copies = OutputTokenizer.Names.Select(name => (name, path: Path.Combine(donor.Folder, name))).Where(file => File.Exists(file.path))
            .ToDictionary(file => file.name, file => file.path, StringComparer.Ordinal);
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        if (Path.Combine(plan.Template!.Folder, Generation) is var path && File.Exists(path))
        {
            var generation = ModelConfig.Parse(path, File.ReadAllText(path)).Json;
            var other = Path.Combine(donor.Folder, Generation);
            TakeIds(generation, File.Exists(other) ? ModelConfig.Parse(other, File.ReadAllText(other)).Json : donor.Config.Json);
            texts[Generation] = OutputConfig.Text(generation);
        }

        (plan.Copies, plan.Texts) = (copies, texts);
        foreach (var (role, own, other) in new[] { ("begin", mine.BosId, theirs.BosId), ("end", mine.EosId, theirs.EosId) })
            if (own is not null && other is null)
                problems.Add(Problem.Warning($"the donor's tokenizer names no {role}-of-sequence token; the model's has '{mine.IdToToken(own.Value)}'"));
    }

    /// <summary>Token ids are the donor's: the model's would name other tokens.</summary>
    private static void TakeIds(JsonObject settings, JsonObject donor)
    {
        foreach (var key in Roles.Where(key => settings.ContainsKey(key) || donor[key] is not null))
            settings[key] = donor[key]?.DeepClone();
    }
}
