using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Inputs.Adapters;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging;

/// <summary>Merges LoRA adapters among themselves by any method, on their exact deltas scale B A; the base model counts as zero. What is linear in the
/// deltas is written without loss by concatenation: A = [A_1; A_2; ...], B = [c_1 s_1 B_1, c_2 s_2 B_2, ...]. Other results are factored by singular
/// value decomposition.</summary>
/// <param name="recipe">A recipe whose models are adapter folders.</param>
/// <param name="options">What the command line added.</param>
public sealed class AdapterMerge(Recipe recipe, PlanOptions options)
{
    private readonly Dictionary<ModelReference, Adapter> _adapters = [];

    /// <summary>What turned up, once <see cref="Run"/> has returned.</summary>
    public IReadOnlyList<Problem> Problems { get; private set; } = [];

    /// <summary>Merges and writes the adapter.</summary>
    /// <param name="folder">The folder under construction.</param>
    /// <param name="maxRank">The most singular values kept; null: concatenated where that is exact, else the sum of the ranks.</param>
    /// <param name="loop">Where decompositions are done.</param>
    /// <param name="done">Called after each module with its report, its number and the number of all.</param>
    /// <exception cref="InputException">The adapters or the recipe cannot be used; lists everything found.</exception>
    public IReadOnlyList<FactoringReport> Run(OutputFolder folder, int? maxRank, ParallelLoop loop, Action<FactoringReport, int, int>? done = null)
    {
        try
        {
            OpenAll();
            using var plan = MergePlanner.Plan(recipe, options with { Raw = true }, _ => Models());
            Problems = plan.Problems;
            if (!plan.IsExecutable)
                throw new InputException(plan.Problems);
            var made = new List<(FactoredModule Module, FactoringReport Report)>();
            foreach (var job in plan.Jobs)
            {
                made.Add(Make(job, maxRank, loop));
                done?.Invoke(made[^1].Report, made.Count, plan.Jobs.Count);
            }

            AdapterWriter.Write(folder, _adapters.Values.First().Config.BaseModel, [.. made.Select(one => one.Module).Where(module => module.Rank > 0)], [], [], _adapters.Values.First().Config.IsFanInFanOut);
            return made.ConvertAll(one => one.Report);
        }
        finally
        {
            foreach (var adapter in _adapters.Values)
                adapter.Dispose();
        }
    }

    private void OpenAll()
    {
        var problems = new List<Problem>();
        foreach (var reference in recipe.AllModels().Where(reference => !reference.Equals(recipe.BaseModel)))
        {
            try
            {
                var adapter = _adapters[reference] = Adapter.Open(ModelInput.Find(reference.Path, reference.Revision, path => InputFile.Resolve(path, recipe.File, options)));
                if (adapter.Whole.Count > 0)
                    problems.Add(Problem.Error($"{adapter.Folder}: holds whole tensors ({string.Join(", ", adapter.Whole.Keys.Take(3))}): merge it together with its model (MODEL+ADAPTER)", reference.Location));
                if (adapter.Config.IsWeightDecomposed || adapter.Modules.Values.Any(module => module.BiasB is not null))
                    problems.Add(Problem.Error($"{adapter.Folder}: DoRA and biases are no part of a low-rank delta: merge it together with its model (MODEL+ADAPTER)", reference.Location));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        if (problems.Count == 0 && _adapters.Values.Select(adapter => adapter.Config.IsFanInFanOut).Distinct().Count() > 1)
            problems.Add(Problem.Error("some of the adapters are for weights stored [in, out] (fan_in_fan_out), others not"));
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>Every adapter as a model of deltas, and the base as zeros; a module that an adapter lacks is zero.</summary>
    private Dictionary<ModelReference, LoadedModel> Models()
    {
        var modules = _adapters.Values.SelectMany(adapter => adapter.Modules.Values).GroupBy(module => module.Name, StringComparer.Ordinal)
            .Select(group => group.First()).OrderBy(module => LayerName.Parse(module.Name).Layer ?? -1).ThenBy(module => module.Name, StringComparer.Ordinal).ToList();
        WeightSpec[] specs = [.. modules.Select(module => new WeightSpec(module.Name, TensorRole.Other, LayerName.Parse(module.Name).Layer))];
        var models = _adapters.ToDictionary(pair => pair.Key, pair => Model(pair.Key, pair.Value, modules, specs));
        if (recipe.BaseModel is { } reference)
            models[reference] = Model(reference, null, modules, specs);
        return models;
    }

    private static LoadedModel Model(ModelReference reference, Adapter? adapter, List<AdapterModule> modules, WeightSpec[] specs)
    {
        var name = adapter?.Folder ?? reference.Path;
        var tensors = modules.ConvertAll(module =>
        {
            var own = adapter?.Modules.GetValueOrDefault(module.Name) ?? module;
            ITensorContent content = adapter?.Modules.ContainsKey(module.Name) == true ? new DeltaContent(new LowRankDelta(adapter.Checkpoint, own, transposed: false)) : new ZeroContent();
            return TensorInfo.Made(module.Name, DType.F32, [own.B.Shape[0], own.A.Shape[1]], name, content);
        });
        return new LoadedModel(reference, name, new Checkpoint(name, adapter?.Checkpoint.Files ?? [], tensors, []), null, specs);
    }

    private (FactoredModule Module, FactoringReport Report) Make(TensorJob job, int? maxRank, ParallelLoop loop)
    {
        var delta = MemoryMarshal.Cast<byte, float>(JobMemory.Make(job with { OutputType = DType.F32 }, options.Seed, options.Decomposer)).ToArray();
        var (outputs, inputs) = (checked((int)job.Shape[0]), checked((int)job.Shape[1]));
        var parts = job.Sources.Select(source => (source, adapter: _adapters.FirstOrDefault(pair => pair.Key.ToString() == source.Model).Value))
            .Select(pair => (Adapter: (Adapter?)pair.adapter, Module: ((Adapter?)pair.adapter)?.Modules.GetValueOrDefault(job.Name))).ToList();
        var isEmbedding = parts.Exists(part => part.Module is { IsEmbedding: true });
        var type = recipe.OutDType ?? DType.F32;
        if (maxRank is null && Coefficients(job) is { } coefficients)
        {
            var module = Concatenate(job.Name, parts, coefficients, outputs, inputs, isEmbedding, type);
            return (module, Factoring.Report(delta, module, loop));
        }

        var rank = maxRank ?? parts.Sum(part => part.Module?.Rank ?? 0);
        return Factoring.Of(job.Name, delta, outputs, inputs, isEmbedding, new FactoringOptions(rank, true, 0, type, options.Seed) { Decomposer = options.Decomposer }, loop);
    }

    /// <summary>The factor of each source's delta where the method is linear in the deltas, else null.</summary>
    private static double[]? Coefficients(TensorJob job)
    {
        var weights = job.Sources.Select(source => source.Parameters.GetValueOrDefault("weight")).ToArray();
        var divisor = job.Parameters.GetValueOrDefault("normalize") != 0 ? weights.Sum() : 1;
        return job.Method.Description.Name switch
        {
            "linear" => Array.ConvertAll(weights, weight => weight / divisor),
            "task_arithmetic" => Array.ConvertAll(weights, weight => job.Get("lambda") * weight / divisor),
            _ => null,
        };
    }

    private static FactoredModule Concatenate(
        string name, List<(Adapter? Adapter, AdapterModule? Module)> parts, double[] coefficients, int outputs, int inputs, bool isEmbedding, DType type)
    {
        var rank = parts.Sum(part => part.Module?.Rank ?? 0);
        var (a, b, first) = (new float[(long)rank * inputs], new float[(long)outputs * rank], 0);
        for (var i = 0; i < parts.Count; i++)
        {
            if (parts[i].Module is not { } module)
                continue;
            var checkpoint = parts[i].Adapter!.Checkpoint;
            var (left, factor) = (checkpoint.ReadAll(module.B), (float)(coefficients[i] * module.Scale));
            checkpoint.ReadAll(module.A).CopyTo(a, (long)first * inputs);
            for (var row = 0; row < outputs; row++)
                TensorPrimitives.Multiply(left.AsSpan(row * module.Rank, module.Rank), factor, b.AsSpan(row * rank + first, module.Rank));
            first += module.Rank;
        }

        TensorCodec.Round(type, a);
        TensorCodec.Round(type, b);
        return new FactoredModule(name, a, b, rank, inputs, outputs, isEmbedding, type);
    }

    private sealed class DeltaContent(LowRankDelta delta) : ITensorContent
    {
        public string Form => "LoRA";

        public void Read(long start, Span<float> destination) => delta.Read(start, destination);
    }

    private sealed class ZeroContent : ITensorContent
    {
        public string Form => "zero";

        public void Read(long start, Span<float> destination) => destination.Clear();
    }
}
