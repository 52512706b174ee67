using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Accounts for every stored tensor that no output uses.</summary>
internal static class UnusedTensors
{
    private const int Shown = 4;

    /// <summary>A note where the recipe or the architecture leaves tensors out on purpose, a warning where nobody knows what they are.</summary>
    public static IEnumerable<Problem> Account(MergePlan plan)
    {
        foreach (var model in plan.Models)
        {
            var declared = model.Weights.SelectMany(weight => weight.AllNames).ToHashSet(StringComparer.Ordinal);
            var unused = model.Checkpoint.Tensors.Select(tensor => tensor.Name).Where(name => !model.Used.Contains(name)).ToList();
            var unknown = unused.Where(name => !declared.Contains(name)).ToList();
            var buffers = unknown.Where(name => IsBuffer(model, name)).ToList();
            var chosen = unused.Count - unknown.Count;
            if (chosen > 0)
                yield return Problem.Note($"model '{model}': {chosen} of {model.Checkpoint.Tensors.Count} tensors are in no slice and are left out");
            if (buffers.Count > 0)
                yield return Problem.Note($"model '{model}': {buffers.Count} buffers that loaders recompute are left out ({Some(buffers)})");
            if (unknown.Count > buffers.Count)
                yield return Problem.Warning($"model '{model}': {unknown.Count - buffers.Count} tensors are unknown to the architecture "
                    + $"'{model.Config?.Architecture}' and are dropped ({Some([.. unknown.Except(buffers)])})");
        }
    }

    private static bool IsBuffer(LoadedModel model, string name) =>
        name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal)
        || (model.Config is { } config && ArchitectureCatalog.Find(config)?.IsIgnored(name) == true);

    private static string Some(List<string> names) =>
        string.Join(", ", names.Take(Shown)) + (names.Count > Shown ? $" and {names.Count - Shown} more" : "");
}
