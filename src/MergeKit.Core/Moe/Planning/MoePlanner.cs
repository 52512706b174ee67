using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Planning;

/// <summary>Plans a mixture of experts as the tensor jobs of a merge: what is no expert's comes from the backbone (a copy of the base, or a
/// merge by any method), experts are copies of dense models' feed-forward blocks, and routers are filled in before the run.</summary>
internal sealed class MoePlanner
{
    private readonly MergePlan _plan;
    private readonly MoeSettings _moe;
    private readonly Dictionary<ModelReference, LoadedModel> _models;
    private readonly List<Problem> _problems;

    private MoePlanner(MergePlan plan, Dictionary<ModelReference, LoadedModel> models, List<Problem> problems) =>
        (_plan, _moe, _models, _problems) = (plan, plan.Recipe.Moe!, models, problems);

    /// <summary>Decides every output tensor.</summary>
    public static MergePlan Plan(Recipe recipe, PlanOptions options)
    {
        var problems = new List<Problem>(recipe.Warnings);
        var plan = new MergePlan(recipe, options);
        if (options.Raw)
            problems.Add(Problem.Error("a mixture of experts cannot be made of raw state dicts; leave --raw out", recipe.Location));
        var models = new ModelLoader(options with { Raw = false }, problems).Load(recipe);
        plan.Models = [.. models.Values];
        if (models.Count == recipe.AllModels().Count && problems.TrueForAll(problem => problem.Severity != Severity.Error))
            new MoePlanner(plan, models, problems).Run();
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return plan;
    }

    private bool HasErrors => _problems.Exists(problem => problem.Severity == Severity.Error);

    private void Run()
    {
        var chosen = MoeFormats.Choose(_moe, _models, _plan.Recipe.Location, _problems);
        CheckAgreement();
        CheckData();
        var parts = _moe.Models().Distinct().ToDictionary(reference => reference, Copy);
        var backbone = _moe.HasBackbone ? Merge() : parts[_moe.Base];
        if (chosen is not { } format || HasErrors)
            return;
        _plan.Template = _models[_moe.Base];
        try
        {
            Decide(format, parts, backbone);
        }
        catch (InputException e)
        {
            _problems.AddRange(e.Problems);
        }
    }

    private void Decide(MoeFormat format, Dictionary<ModelReference, DensePart> parts, DensePart backbone)
    {
        var (output, dense, shape) = Configure(format, parts, backbone);
        var config = ModelConfig.Parse("the result's config.json", output.ToJsonString());
        var architecture = ArchitectureCatalog.Get(config);
        var network = architecture.Declare(config);
        architecture.Network(config);
        var denseConfig = ModelConfig.Parse("the backbone's config.json", dense.ToJsonString());
        if (_moe.Calibration.Window > network.MaxLength)
            _problems.Add(Problem.Error($"'window' is {_moe.Calibration.Window}; the model's context holds {network.MaxLength} tokens", _plan.Recipe.Location));
        var mixture = Describe(network, denseConfig, parts, backbone);
        var tensors = new MixtureTensors(mixture, format, network, backbone, [.. _moe.Expanded.Select(expert => (expert, parts[expert.Model]))],
            [.. _moe.Shared.Select(expert => (expert, parts[expert.Model]))], OutputType(), Specification());
        _plan.Jobs = [.. tensors.Jobs(architecture.Weights(config)).Select(job => job.Layer is { } layer
            ? job with { Depth = shape.Layers == 1 ? 1 : layer / (shape.Layers - 1.0) }
            : job)];
        _problems.AddRange(tensors.Problems);
        if (!mixture.Routing.Normalise)
            _problems.Add(Problem.Warning(
                $"{format.Name} weighs a single expert by its routing probability instead of 1; take experts_per_token: 2 or another architecture to keep the experts' full effect", _plan.Recipe.Location));
        _plan.ConfigJson = OutputConfig.Text(output);
        _plan.Layout = ShardLayout.Create([.. _plan.Jobs.Select(job => new PlannedTensor(job.Name, job.OutputType, job.Shape, job.ByteLength))], _plan.Options.ShardBytes);
        if (_plan.Options.CopyTokenizer)
            _plan.Copies = OutputConfig.TokenizerCopies(_plan.Template!.Folder);
        ResourceChecks.Check(_plan, _problems);
    }

    private (JsonObject Output, JsonObject Dense, (int Layers, int First) Shape) Configure(MoeFormat format, Dictionary<ModelReference, DensePart> parts, DensePart backbone)
    {
        var model = _models[_moe.Base];
        var dense = (JsonObject)model.Config!.Json.DeepClone();
        dense["torch_dtype"] = OutputType().TorchName();
        dense.Remove("dtype");
        var facts = ArchitectureCatalog.Get(model.Config).Declare(model.Config);
        if (backbone.Find(facts.Embedding.Tokens.Name) is { } embedding && dense["vocab_size"] is not null)
            dense["vocab_size"] = embedding.Shape[0];
        if (backbone.Find(facts.Head.Output.Name + ".weight") is not null)
            dense["tie_word_embeddings"] = false;
        var layers = _moe.Layers ?? new LayerRange(0, model.LayerCount);
        int[] plain = [.. Enumerable.Range(0, model.LayerCount).Where(layer => layer < layers.Start || layer >= layers.End)];
        var shape = new MixtureShape(
            _moe.Expanded.Count, _moe.TopK, Width(parts, _moe.Experts[0], layers.Start), [.. _moe.Shared.Select(expert => Width(parts, expert, layers.Start))], layers.Start, plain);
        if (format.SharedOfEqualWidth && shape.SharedWidths.Any(width => width != shape.Width))
            throw new InputException($"{format.Name}: shared experts have the widths {string.Join(", ", shape.SharedWidths)}; wanted that of the routed experts, {shape.Width}");
        var output = (JsonObject)dense.DeepClone();
        format.Apply(output, facts, shape);
        return (output, dense, (model.LayerCount, layers.Start));
    }

    private static long Width(Dictionary<ModelReference, DensePart> parts, ExpertSpec expert, int layer) =>
        parts[expert.Model].Mlp(layer, TensorRole.MlpDown)?.Shape[1]
        ?? throw new InputException([Problem.Error($"'{expert.Model}' has no gate, up and down matrices in layer {layer} that could be an expert's", expert.Location)]);

    private Mixture Describe(NetworkSpec network, ModelConfig dense, Dictionary<ModelReference, DensePart> parts, DensePart backbone)
    {
        int[] layers = [.. network.Layers.Index().Where(layer => layer.Item.Moe is not null).Select(layer => layer.Index)];
        return new Mixture
        {
            Settings = _moe,
            RecipeFile = _plan.Recipe.File,
            TokenizerFolder = _plan.Template!.Folder,
            DenseConfig = dense,
            Backbone = backbone.Jobs,
            Experts = [.. _moe.Expanded.Select(expert => (IReadOnlyList<TensorJob>)[.. ExpertTensors.Dense(expert, parts[expert.Model], backbone, layers)])],
            ExpertNames = Names(),
            Routing = network.Layers[layers[0]].Moe!.Routing,
            Hidden = network.HiddenSize,
            Context = network.MaxLength,
            Layers = layers,
            Embedding = network.Embedding.Tokens.Name,
            Seed = _plan.Options.Seed,
        };
    }

    /// <summary>The last part of each expert's path, numbered where two are alike.</summary>
    private IReadOnlyList<string> Names()
    {
        var names = _moe.Expanded.Select(expert => Path.GetFileName(Path.TrimEndingDirectorySeparator(expert.Model.ToString()))).ToList();
        return names.Distinct().Count() == names.Count ? names : [.. names.Select((name, i) => string.Create(CultureInfo.InvariantCulture, $"{i}: {name}"))];
    }

    /// <summary>The model copied tensor by tensor.</summary>
    private DensePart Copy(ModelReference reference)
    {
        var source = new RecipeSource(reference, null, Parameters.Empty, reference.Location);
        return Part(_plan.Recipe with
        {
            Moe = null,
            MergeMethod = "passthrough",
            BaseModel = null,
            Parameters = Parameters.Empty,
            Modules = [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice([source], null, Parameters.Empty, reference.Location)], Parameters.Empty)],
        }, _models[reference]);
    }

    /// <summary>The merge that gives all that is no expert's. The base takes part only where it is listed or the method needs one.</summary>
    private DensePart Merge()
    {
        var recipe = _plan.Recipe with { Moe = null };
        var listed = recipe.Modules.SelectMany(module => module.Slices).SelectMany(slice => slice.Sources).Any(source => source.Model.Equals(_moe.Base));
        var needed = MethodCatalog.Find(recipe.MergeMethod) is { Base: not BaseRole.Ordinary };
        return Part(listed || needed ? recipe : recipe with { BaseModel = null }, _models[_moe.Base]);
    }

    private DensePart Part(Recipe recipe, LoadedModel named)
    {
        var wanted = recipe.AllModels();
        var part = MergePlanner.Plan(recipe, _plan.Options with { OutputFolder = null }, _ => wanted.ToDictionary(reference => reference, reference => _models[reference]));
        _problems.AddRange(part.Problems.Except(part.Shortages));
        return new DensePart(named, part.Jobs);
    }

    private DType OutputType()
    {
        var config = _models[_moe.Base].Config!;
        if (_plan.Recipe.DType is { } given)
            return given;
        if ((config.GetString("torch_dtype") ?? config.GetString("dtype")) is { } name && DTypes.TryFromTorch(name, out var type) && type.IsFloat())
            return type;
        return _models[_moe.Base].Checkpoint.Tensors.Where(tensor => tensor.DType.IsFloat()).GroupBy(tensor => tensor.DType)
            .MaxBy(group => group.Sum(tensor => tensor.ByteLength))?.Key ?? DType.F32;
    }

    /// <summary>Experts must be as deep as the base and have its pointwise function.</summary>
    private void CheckAgreement()
    {
        if (_plan.Recipe.DType is { } type && !type.IsFloat())
            _problems.Add(Problem.Error($"dtype: {type.TorchName()} is not a floating-point type", _plan.Recipe.Location));
        var model = _models[_moe.Base];
        if (_moe.Layers is { } layers && layers.End > model.LayerCount)
            _problems.Add(Problem.Error($"layer_range {layers} goes past the {model.LayerCount} layers of '{model}'", _plan.Recipe.Location));
        foreach (var expert in _moe.Experts.Concat(_moe.Shared))
        {
            var other = _models[expert.Model];
            if (other.LayerCount != model.LayerCount)
                _problems.Add(Problem.Error($"'{other}' has {other.LayerCount} layers, the base '{model}' has {model.LayerCount}; experts are as deep as the base", expert.Location));
            foreach (var key in (string[])["hidden_size", "hidden_act"])
                if (!JsonNode.DeepEquals(other.Config!.Json[key], model.Config!.Json[key]))
                    _problems.Add(Problem.Error(
                        $"config key '{key}' differs: '{model}' has {model.Config.Json[key]?.ToJsonString() ?? "none"}, the expert '{other}' has {other.Config.Json[key]?.ToJsonString() ?? "none"}", expert.Location));
        }
    }

    private void CheckData()
    {
        foreach (var expert in _moe.Experts.Where(expert => expert.Data is not null))
            if (!File.Exists(InputFile.Resolve(expert.Data!, _plan.Recipe.File, _plan.Options)))
                _problems.Add(Problem.Error($"data '{expert.Data}': there is no such file", expert.Location));
    }

    /// <summary>A digest of all that the gates depend on beside the models: the seed, the recipe, and what the experts' texts say.</summary>
    private string Specification()
    {
        var texts = _moe.Experts.Select(expert => expert.Data).OfType<string>().Select(data => InputFile.ContentKey(InputFile.Resolve(data, _plan.Recipe.File, _plan.Options)));
        var text = $"{_plan.Options.Seed}\n{_plan.Recipe.Yaml}\n{string.Join('\n', texts)}";
        return $"{_moe.Gate}, {Convert.ToHexStringLower(System.IO.Hashing.XxHash3.Hash(System.Text.Encoding.UTF8.GetBytes(text)))}";
    }
}
