using System.Globalization;
using System.IO.Hashing;
using System.Text;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Identifies a plan with its inputs: the decided jobs, the seed, the configuration and files beside the weights, and every input
/// file's path, length and time of change as they were when its header was read.</summary>
public static class InputIdentity
{
    /// <summary>Equal for equal work, 32 hexadecimal digits.</summary>
    public static string Take(MergePlan plan)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{plan.Options.Seed} {plan.Options.ShardBytes}\n{plan.ConfigJson}\n");
        foreach (var job in plan.Jobs)
        {
            text.Append(CultureInfo.InvariantCulture, $"{job.Name} {job.ShapeText} {job.OutputType.SafetensorsName()} {job.Method.Description.Name} {Text(job.Parameters)}\n");
            foreach (var source in job.Sources)
                text.Append(CultureInfo.InvariantCulture, $" {source.Data.Description} {source.Data.Type} {source.Data.Count} {source.IsBase} {Text(source.Parameters)}\n");
        }

        if (plan.Matrices is { } matrices)
            text.Append(CultureInfo.InvariantCulture, $"{matrices.Place}\n");
        foreach (var (name, content) in plan.Texts.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            text.Append(CultureInfo.InvariantCulture, $"{name} {Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(content)))}\n");
        foreach (var stage in plan.Models.Select(model => model.Stage).OfType<StageModel>())
            text.Append(CultureInfo.InvariantCulture, $"{stage.Name} {stage.Identity}\n");
        foreach (var file in plan.Models.Concat(plan.Lenders).SelectMany(model => model.Checkpoint.Files).Concat(plan.Statistics.Files))
            text.Append(CultureInfo.InvariantCulture, $"{Path.GetFullPath(file.File)} {file.Length} {file.Changed.Ticks}\n");
        foreach (var file in plan.Copies.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => new FileInfo(pair.Value)))
            text.Append(CultureInfo.InvariantCulture, $"{file.FullName} {(file.Exists ? file.Length : -1)} {file.LastWriteTimeUtc.Ticks}\n");
        return Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>An input file that is no longer what it was when the plan was made, or null.</summary>
    internal static string? ChangedFile(MergePlan plan) =>
        plan.Models.Concat(plan.Lenders).SelectMany(model => model.Checkpoint.Files).Concat(plan.Statistics.Files).FirstOrDefault(file => file.IsStale)?.File;

    private static string Text(IReadOnlyDictionary<string, double> parameters) =>
        string.Join(',', parameters.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key}={pair.Value:R}")));
}
