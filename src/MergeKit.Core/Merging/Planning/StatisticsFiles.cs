using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>The statistics files of a recipe, each opened once.</summary>
internal sealed class StatisticsFiles(PlanOptions options, string recipeFile) : IDisposable
{
    private const string WeightEnd = ".weight";
    private readonly Dictionary<string, Checkpoint> _opened = new(StringComparer.Ordinal);

    /// <summary>The files, for their identity.</summary>
    public IEnumerable<CheckpointFile> Files => _opened.Values.SelectMany(checkpoint => checkpoint.Files);

    /// <summary>What a source's file says of a tensor; null where it says nothing.</summary>
    /// <exception cref="InputException">The file is not there, or the statistics have another shape.</exception>
    public ITensorSource? Find(StatisticsKind kind, RecipeSource source, string tensor, IReadOnlyList<long> shape)
    {
        if (kind == StatisticsKind.None || (kind == StatisticsKind.InputProducts && (shape.Count != 2 || !tensor.EndsWith(WeightEnd, StringComparison.Ordinal))))
            return null;
        var checkpoint = Open(source);
        var (name, wanted) = kind == StatisticsKind.PerElement ? (tensor, shape) : (tensor[..^WeightEnd.Length] + ".gram", [shape[1], shape[1]]);
        if (checkpoint.Find(name) is not { } found)
            return null;
        return found.Shape.SequenceEqual(wanted) && found.DType.IsFloat()
            ? new CheckpointSource(checkpoint, found, found.ElementCount, null)
            : throw new InputException($"{checkpoint.Path}: '{name}' is {found.TypeText} {found.ShapeText}; floating-point numbers {TensorInfo.Text(wanted)} are wanted for tensor '{tensor}' {TensorInfo.Text(shape)}");
    }

    public void Dispose()
    {
        foreach (var checkpoint in _opened.Values)
            checkpoint.Dispose();
    }

    private Checkpoint Open(RecipeSource source)
    {
        var path = InputFile.Resolve(source.Statistics!, recipeFile, options);
        return _opened.TryGetValue(path, out var known) ? known : _opened[path] = Checkpoint.Open(path);
    }
}
