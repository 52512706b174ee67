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
    private readonly Dictionary<(LoadedModel Model, StatisticsRequest Request), string?> _made = [];
    private readonly List<InputException> _failed = [];

    /// <summary>The files, for their identity.</summary>
    public IEnumerable<CheckpointFile> Files => _opened.Values.SelectMany(checkpoint => checkpoint.Files);

    /// <summary>The statistics that will be recorded when the recipe is run.</summary>
    public IEnumerable<(LoadedModel Model, StatisticsRequest Request)> Awaited => _made.Where(pair => pair.Value is null).Select(pair => pair.Key);

    /// <summary>What a source's file says of a tensor; null where it says nothing, or is not made yet.</summary>
    /// <param name="kind">What is wanted.</param>
    /// <param name="source">The source as the recipe has it.</param>
    /// <param name="model">Its model.</param>
    /// <param name="names">The tensor's names, the architecture's first.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <exception cref="InputException">The file is not there, or the statistics have another shape.</exception>
    public ITensorSource? Find(StatisticsKind kind, RecipeSource source, LoadedModel model, IEnumerable<string> names, IReadOnlyList<long> shape)
    {
        if (kind == StatisticsKind.None || Path(kind, source, model) is not { } path)
            return null;
        var checkpoint = _opened.TryGetValue(path, out var known) ? known : _opened[path] = Checkpoint.Open(path);
        return names.Distinct().Select(name => Find(kind, checkpoint, name, shape)).FirstOrDefault(found => found is not null);
    }

    public void Dispose()
    {
        foreach (var checkpoint in _opened.Values)
            checkpoint.Dispose();
    }

    private static CheckpointSource? Find(StatisticsKind kind, Checkpoint checkpoint, string tensor, IReadOnlyList<long> shape)
    {
        if (kind == StatisticsKind.InputProducts && (shape.Count != 2 || !tensor.EndsWith(WeightEnd, StringComparison.Ordinal)))
            return null;
        var (name, wanted) = kind == StatisticsKind.PerElement ? (tensor, shape) : (tensor[..^WeightEnd.Length] + ".gram", [shape[1], shape[1]]);
        if (checkpoint.Find(name) is not { } found)
            return null;
        return found.Shape.SequenceEqual(wanted) && found.DType.IsFloat()
            ? new CheckpointSource(checkpoint, found, found.ElementCount, null)
            : throw new InputException($"{checkpoint.Path}: '{name}' is {found.TypeText} {found.ShapeText}; floating-point numbers {TensorInfo.Text(wanted)} are wanted for tensor '{tensor}' {TensorInfo.Text(shape)}");
    }

    private string? Path(StatisticsKind kind, RecipeSource source, LoadedModel model)
    {
        if (source.Recorded is not { } request)
            return InputFile.Resolve(source.Statistics!, recipeFile, options);
        if (_made.TryGetValue((model, request), out var path))
            return path;
        if (options.Statistics is not { } make)
            throw new InputException("statistics of texts are recorded by 'mergekit run' only; record them with 'mergekit statistics', and name the file");
        if (_failed.Count > 0)
            return null; // said once is enough
        try
        {
            return _made[(model, request)] = make(kind, model, request with
            {
                Data = [.. request.Data.Select(data => InputFile.Resolve(data, recipeFile, options))],
                File = request.File is { } file ? System.IO.Path.Combine(options.WorkingDirectory, file) : null,
            });
        }
        catch (InputException e)
        {
            _failed.Add(e);
            throw;
        }
    }
}
