using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Search.Spaces;

/// <summary>Writes the ordinary recipes that soups and task arithmetic end in.</summary>
internal sealed class RecipeWriter(SearchRecipe search)
{
    private readonly YamlBuilder _yaml = new(search.Location);

    /// <summary>A weighted mean; the weights are divided by their sum.</summary>
    public string Mean(IReadOnlyList<ModelReference> models, IReadOnlyList<double> weights) => YamlWriter.Write(_yaml.Map(
        ("merge_method", _yaml.Text("linear")), ("models", Weighted(models, weights)), ("dtype", Type(search.DType)), ("out_dtype", Type(search.OutDType))));

    /// <summary>base + sum w_i tau_i.</summary>
    public string Arithmetic(ModelReference origin, IReadOnlyList<ModelReference> models, IReadOnlyList<double> weights) => YamlWriter.Write(_yaml.Map(
        ("merge_method", _yaml.Text("task_arithmetic")), ("base_model", _yaml.Model(origin)), ("models", Weighted(models, weights)),
        ("dtype", Type(search.DType ?? search.Template?.Start.DType)), ("out_dtype", Type(search.OutDType ?? search.Template?.Start.OutDType))));

    private YamlSequence Weighted(IReadOnlyList<ModelReference> models, IReadOnlyList<double> weights) => _yaml.List(models.Zip(weights).Select(pair =>
        _yaml.Map(("model", _yaml.Model(pair.First)), ("parameters", _yaml.Map(("weight", _yaml.Number(pair.Second)))))));

    private YamlScalar? Type(DType? type) => type is { } given ? _yaml.Text(given.TorchName()) : null;
}

/// <summary>The means of a learned soup: weights are the softmax of free numbers, the last of which is 0.</summary>
internal sealed class SoftmaxSpace(SearchRecipe search) : ISearchSpace
{
    private const double Range = 4;
    private readonly RecipeWriter _writer = new(search);

    /// <inheritdoc/>
    public IReadOnlyList<SearchVariable> Variables { get; } =
        [.. search.Models.Take(search.Models.Count - 1).Select(model => new SearchVariable($"logit {Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path))}", -Range, Range, 0))];

    /// <inheritdoc/>
    public string Write(IReadOnlyList<double> values)
    {
        double[] powers = [.. values.Append(0).Select(value => Math.Exp(value))];
        var sum = powers.Sum();
        return _writer.Mean(search.Models, [.. powers.Select(power => power / sum)]);
    }
}

/// <summary>base + s (sum of added task vectors - sum of subtracted ones).</summary>
internal sealed class ScaleSpace(SearchRecipe search) : ISearchSpace
{
    private readonly RecipeWriter _writer = new(search);

    /// <inheritdoc/>
    public IReadOnlyList<SearchVariable> Variables { get; } = [new("scale", search.Scales.Min(), Math.Max(search.Scales.Max(), search.Scales.Min() + 1e-9), 0)];

    /// <inheritdoc/>
    public string Write(IReadOnlyList<double> values) => _writer.Arithmetic(
        search.BaseModel!, search.Models, [.. search.Models.Select((_, i) => search.Task == ScaleTask.Negation || (search.Task == ScaleTask.Analogy && i == 0) ? -values[0] : values[0])]);
}
