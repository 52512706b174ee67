using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Plans single output tensors of a slice: which stored tensors, which types, which parameters.</summary>
internal sealed class TensorPlanner(
    MergePlan plan, MergeMethod method, ParameterResolver parameters, IReadOnlyList<SliceSource> sources, List<Problem> problems)
{
    private readonly GroupedProblems _grouped = new();

    private sealed record Found(SliceSource Source, TensorInfo Tensor, string AskedName);

    /// <summary>Puts what was found wrong among the problems, equal complaints about many tensors in one line.</summary>
    public void ReportGrouped() => problems.AddRange(_grouped.Summaries());

    /// <summary>The job for one tensor; null when it is left out or cannot be made.</summary>
    /// <param name="weight">The tensor, numbered as in the first source.</param>
    /// <param name="sliceLayer">Layer within the slice, or null outside the layers.</param>
    /// <param name="outputLayer">Layer of the result, or null outside the layers.</param>
    /// <param name="t">Position in the slice for gradients.</param>
    public TensorJob? Plan(WeightSpec weight, int? sliceLayer, int? outputLayer, double t)
    {
        if (plan.Recipe.Tokenizer is not null && plan.Vocabulary is null && IsVocabulary(weight))
            return null; // why the vocabularies cannot be brought together is said already
        var name = LoadedModel.WithLayer(weight.Name, outputLayer);
        var found = Gather(weight, sliceLayer);
        if (found.Count == 0 || (weight.Optional && found.Count < method.LeastTensors))
            return null;
        if (found.Count < method.LeastTensors)
        {
            _grouped.Add($"merge_method '{method.Description.Name}' needs the tensor in at least {method.LeastTensors} models; {found.Count} have it", name);
            return null;
        }

        if (method.Base == BaseRole.Required && !found.Exists(one => one.Source.IsBase))
        {
            _grouped.Add($"the base model lacks the tensor", name);
            return null;
        }

        var vocabulary = IsVocabulary(weight, found) ? plan.Vocabulary : null;
        var pairs = found.ConvertAll(one => (one.Source, one.Tensor));
        var shape = vocabulary is null ? ShapeAgreement.Agree(method, pairs, IsVocabulary(weight), name, _grouped)
            : ShapeAgreement.WithRows(vocabulary.Rows, pairs, name, _grouped);
        if (shape is null)
            return null;
        foreach (var one in found)
            one.Source.Model.Used.Add(one.Tensor.Name);
        var floats = found.TrueForAll(one => one.Tensor.DType.IsFloat());
        return floats ? Merge(weight, name, found, shape, t) : Copy(name, found);
    }

    /// <summary>The stored tensors of all sources. A tied head is represented by the embedding, if any source has a head of its own.</summary>
    private List<Found> Gather(WeightSpec weight, int? sliceLayer)
    {
        var own = sources.Select(source => (source, layer: sliceLayer + source.Start))
            .Select(pair => (pair.source, pair.layer, tensor: pair.source.Model.Find(weight, pair.layer))).ToList();
        if (weight.Optional && own.TrueForAll(one => one.tensor is null))
            return [];
        var found = new List<Found>();
        foreach (var (source, layer, tensor) in own)
        {
            var stands = tensor ?? (weight.TiedTo is { } tied ? source.Model.Checkpoint.Find(tied) : null);
            var name = LoadedModel.WithLayer(weight.Name, layer);
            if (stands is not null)
                found.Add(new Found(source, stands, name));
            else if (!weight.Optional && plan.Options.Missing == MissingTensors.Refuse)
                _grouped.Add($"model '{source.Model}' lacks a tensor that the others (or its architecture) have", name);
        }

        return found.Count == own.Count || weight.Optional || plan.Options.Missing == MissingTensors.Union ? found : [];
    }

    private static bool IsVocabulary(WeightSpec weight) => weight.Role is TensorRole.Embedding or TensorRole.Head;

    /// <summary>Whether the tensor has a row per token: embedding, head, or the bias of a head.</summary>
    private static bool IsVocabulary(WeightSpec weight, List<Found> found) => IsVocabulary(weight)
        || (weight is { Role: TensorRole.Bias, Layer: null } && found.TrueForAll(one => one.Tensor.Shape.Count == 1 && one.Tensor.Shape[0] == ModelVocabulary.RowsOf(one.Source.Model)));

    private TensorJob? Merge(WeightSpec weight, string name, List<Found> found, IReadOnlyList<long> shape, double t)
    {
        var recipe = plan.Recipe;
        var count = shape.Aggregate(1L, (product, extent) => product * extent);
        var baseType = method.Base == BaseRole.Required ? found.First(one => one.Source.IsBase).Tensor.DType : (DType?)null;
        var convert = recipe.DType ?? baseType;
        var vocabulary = IsVocabulary(weight, found) ? plan.Vocabulary : null;
        var data = vocabulary is not null ? Gather(vocabulary, weight, name, found, shape, convert)
            : found.ConvertAll(one => Source(one.Source.Model, one.Tensor, count, convert));
        var jobSources = new List<JobSource>();
        foreach (var (one, values) in found.Zip(data))
        {
            var own = method.Base != BaseRole.Ordinary && one.Source.IsBase ? [] : BindPerModel(one, t);
            jobSources.Add(new JobSource(one.Source.Model.ToString(), values, one.Source.IsBase, own) { Statistics = Statistics(one, gathered: vocabulary is not null) });
        }

        var natural = recipe.DType ?? baseType ?? jobSources.Select(source => source.Data.Type).Aggregate(Promote);
        var job = new TensorJob(name, shape, recipe.OutDType ?? natural, method, jobSources, BindGlobal(name, t));
        if (HasUnbound(job))
            return null;
        foreach (var complaint in method.Check(job))
            _grouped.Add(complaint, name);
        return job;
    }

    private static ITensorSource Source(LoadedModel model, TensorInfo tensor, long count, DType? convert) =>
        new CheckpointSource(model.Checkpoint, tensor, count, convert == tensor.DType ? null : convert);

    /// <summary>Matrices with a row per token, in the result's numbering.</summary>
    private List<ITensorSource> Gather(VocabularyPlan vocabulary, WeightSpec weight, string name, List<Found> found, IReadOnlyList<long> shape, DType? convert)
    {
        var width = shape.Skip(1).Aggregate(1L, (product, extent) => product * extent);
        return vocabulary.Gather([.. found.Select(one => (one.Source.Model, Source(one.Source.Model, one.Tensor, one.Tensor.ElementCount, convert)))],
            found.FindIndex(one => one.Source.IsBase), Lend, width);

        ITensorSource? Lend(LoadedModel lender)
        {
            var tensor = lender.Find(weight, null) ?? (weight.TiedTo is { } tied ? lender.Checkpoint.Find(tied) : null);
            if (tensor is not null && tensor.DType.IsFloat() && tensor.Shape.Skip(1).SequenceEqual(shape.Skip(1)))
                return Source(lender, tensor, tensor.ElementCount, convert);
            _grouped.Add($"a rule for a token takes a row from '{lender}', {(tensor is null ? "which lacks the tensor" : $"whose rows are of another size ({tensor.ShapeText})")}", name);
            return null;
        }
    }

    /// <summary>What is known of a source's tensor. Elements of a gathered matrix are no longer those that the statistics belong to.</summary>
    private ITensorSource? Statistics(Found one, bool gathered)
    {
        if (method.Statistics == StatisticsKind.None || (gathered && method.Statistics == StatisticsKind.PerElement))
            return null;
        try
        {
            if (one.Source.Source is { } source && (source.Statistics is not null || source.Recorded is not null))
                return plan.Statistics.Find(method.Statistics, source, one.Source.Model, [one.AskedName, one.Tensor.Name], one.Tensor.Shape);
            _grouped.Add($"merge_method '{method.Description.Name}' needs statistics of model '{one.Source.Model}': name their file, or texts to record them on, under 'statistics' beside the model; 'mergekit statistics' makes a file", one.AskedName);
        }
        catch (InputException e)
        {
            foreach (var problem in e.Problems)
                _grouped.Add(problem.Message, one.AskedName);
        }

        return null;
    }

    /// <summary>Integers and booleans are not averaged: the base's (or first) tensor is copied.</summary>
    private TensorJob? Copy(string name, List<Found> found)
    {
        var one = found.Find(candidate => candidate.Source.IsBase) ?? found[0];
        var type = one.Tensor.DType;
        if (found.Count > 1 && type is not (DType.I64 or DType.I32 or DType.Bool))
            _grouped.Add($"elements are {type.TorchName()}: packed or quantised weights cannot be merged; dequantise the models first", name);
        else if (found.Count > 1)
            problems.Add(Problem.Note($"tensor '{name}' holds {type.TorchName()}: copied from '{one.Source.Model}', not merged"));
        var source = new JobSource(one.Source.Model.ToString(), new CheckpointSource(one.Source.Model.Checkpoint, one.Tensor, one.Tensor.ElementCount, null), false,
            new Dictionary<string, double> { ["scale"] = 1 });
        return new TensorJob(name, one.Tensor.Shape, type, MethodCatalog.Find("passthrough")!, [source], new Dictionary<string, double>());
    }

    private Dictionary<string, double> BindPerModel(Found one, double t)
    {
        var values = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var parameter in method.Description.Parameters.Where(parameter => parameter.Scope == ParameterScope.PerModel))
            Bind(values, parameter, parameters.PerModel(parameter, one.Source.Source, one.AskedName, t), one.AskedName,
                $" for {(one.Source.IsBase ? "base model" : "model")} '{one.Source.Model}'");
        return values;
    }

    private Dictionary<string, double> BindGlobal(string name, double t)
    {
        var values = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var parameter in method.Description.Parameters.Where(parameter => parameter.Scope == ParameterScope.Global))
            Bind(values, parameter, parameters.Global(parameter, name, t), name, "");
        return values;
    }

    private void Bind(Dictionary<string, double> values, ParameterDescription parameter, double? value, string tensor, string whose)
    {
        if (value is { } number)
            values[parameter.Name] = number;
        else if (parameter.Required)
            _grouped.Add($"parameter '{parameter.Name}' has no value{whose}: give it with the model, the slice, or under the recipe's parameters", tensor);
    }

    private bool HasUnbound(TensorJob job) => method.Description.Parameters.Any(parameter => parameter.Scope == ParameterScope.Global
        ? !job.Parameters.ContainsKey(parameter.Name)
        : job.Sources.Any(source => !(source.IsBase && method.Base != BaseRole.Ordinary) && !source.Parameters.ContainsKey(parameter.Name)));

    /// <summary>The type that holds both: equal ones stay; otherwise the wider, float32 for the two 16-bit types.</summary>
    private static DType Promote(DType a, DType b) =>
        a == b ? a : TensorCodec.IsExact(a, b) ? b : TensorCodec.IsExact(b, a) ? a : DType.F32;
}
