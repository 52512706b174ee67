using System.Text.RegularExpressions;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>What to extract, with mergekit's defaults.</summary>
public sealed record ExtractionOptions
{
    /// <summary>The most singular values kept per module.</summary>
    public int MaxRank { get; init; } = 128;

    /// <summary>Whether A and B each take the root of the singular values; else A takes them.</summary>
    public bool DistributeScale { get; init; } = true;

    /// <summary>Singular values up to this are dropped; 0 keeps all.</summary>
    public double SvEpsilon { get; init; }

    /// <summary>Whether embedding and head are factored too instead of saved whole.</summary>
    public bool EmbedLora { get; init; }

    /// <summary>Whether tensors that are no matrix (norms) are left out instead of saved whole.</summary>
    public bool SkipUndecomposable { get; init; }

    /// <summary>Modules, by the last part of their names or the whole, that are saved whole.</summary>
    public IReadOnlyList<string> SaveModules { get; init; } = [];

    /// <summary>Only modules that one of these finds; empty: all.</summary>
    public IReadOnlyList<Regex> Include { get; init; } = [];

    /// <summary>No modules that one of these finds.</summary>
    public IReadOnlyList<Regex> Exclude { get; init; } = [];

    /// <summary>Seed of the random projections.</summary>
    public ulong Seed { get; init; }

    /// <summary>What decomposes whole matrices.</summary>
    public IDecomposer Decomposer { get; init; } = new CpuDecomposer();
}

/// <summary>Makes a LoRA adapter of the difference of a fine-tune and its base, by truncated singular value decomposition.</summary>
/// <param name="baseModel">The base.</param>
/// <param name="tuned">The fine-tune.</param>
/// <param name="options">What to extract.</param>
public sealed class LoraExtraction(ModelInput baseModel, ModelInput tuned, ExtractionOptions options)
{
    private readonly List<Problem> _problems = [];
    private List<(string Name, TensorInfo Own, TensorInfo Other, Treatment Treatment)>? _work;

    private enum Treatment { Leave, Factor, FactorEmbedding, Save }

    /// <summary>What turned up, once <see cref="Run"/> has returned.</summary>
    public IReadOnlyList<Problem> Problems => _problems;

    /// <summary>Extracts and writes the adapter.</summary>
    /// <param name="folder">The folder under construction.</param>
    /// <param name="baseName">The base model's name for the adapter's configuration.</param>
    /// <param name="loop">Where the decompositions are done.</param>
    /// <param name="done">Called after each module with its report, its number and the number of all.</param>
    /// <exception cref="InputException">The models do not fit each other, or nothing is selected; lists everything found.</exception>
    public IReadOnlyList<FactoringReport> Run(OutputFolder folder, string baseName, ParallelLoop loop, Action<FactoringReport, int, int> done)
    {
        var work = _work ??= Plan();
        var (modules, reports, whole) = (new List<FactoredModule>(), new List<FactoringReport>(), new List<MemoryTensor>());
        var count = work.Count(one => one.Treatment is Treatment.Factor or Treatment.FactorEmbedding);
        foreach (var (name, own, other, treatment) in work)
        {
            if (treatment == Treatment.Save)
                whole.Add(Copy(name, other));
            if (treatment is not (Treatment.Factor or Treatment.FactorEmbedding))
                continue;
            var (module, report) = Factor(name, own, other, treatment == Treatment.FactorEmbedding, loop);
            modules.Add(module);
            reports.Add(report);
            done(report, reports.Count, count);
        }

        var left = work.Where(one => one.Treatment == Treatment.Leave && one.Own.Shape.Count == 2).Select(one => AdapterWriter.Module(one.Name)).ToList();
        AdapterWriter.Write(folder, baseName, [.. modules.Where(module => module.Rank > 0)], whole, left, IsFanInFanOut);
        return reports;
    }

    /// <summary>What the decompositions cost, in a sentence.</summary>
    /// <param name="threads">Threads of the CPU.</param>
    /// <exception cref="InputException">As of <see cref="Run"/>.</exception>
    public string Cost(int threads)
    {
        var shapes = (_work ??= Plan()).Where(one => one.Treatment is Treatment.Factor or Treatment.FactorEmbedding).Select(one => (Rows: one.Own.Shape[0], Columns: one.Own.Shape[1])).ToList();
        if (shapes.Count == 0)
            return "no module is factored";
        var total = shapes.Aggregate(default(DecompositionCost), (sum, shape) => sum + RandomizedSvd.Cost(shape.Rows, shape.Columns, options.MaxRank, options.Decomposer, threads));
        var (rows, columns) = shapes.MaxBy(shape => shape.Rows * shape.Columns);
        return $"factors {shapes.Count} {(shapes.Count == 1 ? "matrix" : "matrices")}, the largest {rows} x {columns}: {total.Sentence} on {options.Decomposer.Name}";
    }

    private bool IsFanInFanOut => baseModel.Config?.ModelType == "gpt2";

    private List<(string Name, TensorInfo Own, TensorInfo Other, Treatment Treatment)> Plan()
    {
        var work = new List<(string Name, TensorInfo Own, TensorInfo Other, Treatment Treatment)>();
        var architecture = baseModel.Config is { } config ? ArchitectureCatalog.Find(config) : null;
        var specs = architecture?.Weights(baseModel.Config!) ?? [.. baseModel.Checkpoint.Tensors.Select(tensor => new WeightSpec(tensor.Name, Guess(tensor)))];
        foreach (var spec in specs)
        {
            var (own, other) = (Find(baseModel, spec), Find(tuned, spec));
            if (own is null && other is null && spec.Optional)
                continue;
            if (own is null || other is null)
                _problems.Add(Problem.Error($"{(own is null ? baseModel : tuned).Checkpoint.Path}: lacks tensor '{spec.Name}', which the other model or its architecture has"));
            else if (CheckShape(spec, own, other))
                work.Add((spec.Name, own, other, Treat(spec, own)));
        }

        if (_problems.All(problem => problem.Severity != Severity.Error) && work.TrueForAll(one => one.Treatment == Treatment.Leave))
            _problems.Add(Problem.Error("no module is left to extract: the include and exclude patterns leave none"));
        return _problems.Exists(problem => problem.Severity == Severity.Error) ? throw new InputException(_problems) : work;
    }

    /// <summary>A head that is tied in both models is its embedding's affair; one that only one model ties is compared with that embedding.</summary>
    private TensorInfo? Find(ModelInput model, WeightSpec spec)
    {
        var stored = spec.AllNames.Select(model.Checkpoint.Find).FirstOrDefault(tensor => tensor is not null);
        if (stored is not null || spec.TiedTo is not { } tied)
            return stored;
        var apart = new[] { baseModel, tuned }.Any(either => spec.AllNames.Any(name => either.Checkpoint.Find(name) is not null));
        return apart ? model.Checkpoint.Find(tied) : null;
    }

    private bool CheckShape(WeightSpec spec, TensorInfo own, TensorInfo other)
    {
        if (own.Shape.SequenceEqual(other.Shape))
            return true;
        var grown = spec.Role is TensorRole.Embedding or TensorRole.Head && own.Shape.Count == 2 && other.Shape.Count == 2 && own.Shape[1] == other.Shape[1] && other.Shape[0] > own.Shape[0];
        _problems.Add(grown
            ? Problem.Warning($"tensor '{spec.Name}': the fine-tune has {other.Shape[0] - own.Shape[0]} more rows than the base's {own.Shape[0]}; they are kept where the tensor is saved whole and cut off where it is factored")
            : Problem.Error($"tensor '{spec.Name}' is {own.ShapeText} in {baseModel.Checkpoint.Path}, but {other.ShapeText} in {tuned.Checkpoint.Path}"));
        return grown;
    }

    private Treatment Treat(WeightSpec spec, TensorInfo tensor)
    {
        var module = AdapterWriter.Module(spec.Name);
        if (options.Exclude.Any(pattern => pattern.IsMatch(spec.Name)) || (options.Include.Count > 0 && !options.Include.Any(pattern => pattern.IsMatch(spec.Name))))
            return Treatment.Leave;
        if (options.SaveModules.Any(name => name == module || module.EndsWith("." + name, StringComparison.Ordinal)))
            return Treatment.Save;
        var isVocabulary = spec.Role is TensorRole.Embedding or TensorRole.Head;
        if (tensor.Shape.Count != 2 || !spec.Name.EndsWith(".weight", StringComparison.Ordinal) || spec.Role is TensorRole.PositionEmbedding or TensorRole.TokenTypeEmbedding)
            return options.SkipUndecomposable ? Treatment.Leave : Treatment.Save;
        if (isVocabulary && !options.EmbedLora)
            return Treatment.Save;
        return spec.Role == TensorRole.Embedding ? Treatment.FactorEmbedding : Treatment.Factor;
    }

    private (FactoredModule, FactoringReport) Factor(string name, TensorInfo own, TensorInfo other, bool isEmbedding, ParallelLoop loop)
    {
        var (delta, tunedValues) = (baseModel.Checkpoint.ReadAll(own), tuned.Checkpoint.ReadAll(other));
        System.Numerics.Tensors.TensorPrimitives.Subtract(tunedValues.AsSpan(0, delta.Length), delta, delta);
        var (rows, columns) = (checked((int)own.Shape[0]), checked((int)own.Shape[1]));
        if (isEmbedding || IsFanInFanOut)
            (delta, rows, columns) = (Transposed(delta, rows, columns), columns, rows);
        var type = own.DType is DType.F16 or DType.BF16 ? own.DType : DType.F32;
        var factoring = new FactoringOptions(options.MaxRank, options.DistributeScale, options.SvEpsilon, type, options.Seed) { Decomposer = options.Decomposer };
        return Factoring.Of(AdapterWriter.Module(name), delta, rows, columns, isEmbedding, factoring, loop);
    }

    private MemoryTensor Copy(string name, TensorInfo tensor)
    {
        var bytes = new byte[tensor.ByteLength];
        tuned.Checkpoint.Read(tensor, 0, bytes);
        return new MemoryTensor(name, tensor.DType, tensor.Shape, bytes);
    }

    private static float[] Transposed(float[] values, int rows, int columns)
    {
        var result = new float[values.Length];
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                result[j * rows + i] = values[i * columns + j];
        return result;
    }

    private static TensorRole Guess(TensorInfo tensor) =>
        tensor.Name.Contains("embed", StringComparison.Ordinal) || tensor.Name.EndsWith("wte.weight", StringComparison.Ordinal) ? TensorRole.Embedding
        : tensor.Name.StartsWith("lm_head", StringComparison.Ordinal) ? TensorRole.Head : TensorRole.Other;
}
