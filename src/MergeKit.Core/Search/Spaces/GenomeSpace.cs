using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Search.Spaces;

/// <summary>The recipes of mergekit-evolve's genome: per group of layers, model and filter a weight (and a density). Where weights may not be negative the
/// range begins at 0; a density lies between 0.01 and 1. slerp takes the two models of the greatest weights in each group, with t the softmax of the second.</summary>
internal sealed class GenomeSpace : ISearchSpace
{
    private const double GreatestWeight = 2;
    private const double LeastDensity = 0.01;
    private readonly SearchRecipe _search;
    private readonly GenomeSpec _genome;
    private readonly YamlBuilder _yaml;
    private readonly string[] _parameters;
    private readonly int _groups, _layers;

    /// <summary>The space over models of so many layers.</summary>
    /// <exception cref="InputException">The layers do not divide into groups.</exception>
    public GenomeSpace(SearchRecipe search, int layers)
    {
        (_search, _genome, _layers, _yaml) = (search, search.Genome!, layers, new YamlBuilder(search.Location));
        if (_genome.LayerGranularity > 0 && layers % _genome.LayerGranularity != 0)
            throw new InputException([Problem.Error($"'layer_granularity' is {_genome.LayerGranularity}, but the models' {layers} layers do not divide into such groups", search.Location)]);
        _groups = _genome.LayerGranularity > 0 ? layers / _genome.LayerGranularity : 1;
        _parameters = _genome.Method is "ties" or "dare_ties" ? ["weight", "density"] : ["weight"];
        var random = new SearchRandom(search.Seed, 99);
        Variables =
        [
            .. from @group in Enumerable.Range(0, _groups)
               from model in search.Models
               from filter in _genome.Filters.Select(filter => $"[{filter}]").Append(_genome.Filters.Count > 0 ? "[rest]" : "")
               from parameter in _parameters
               select Variable($"{Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path))}.{parameter}{filter}{(_groups > 1 ? $"#{@group + 1}" : "")}", parameter, random),
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<SearchVariable> Variables { get; }

    private int Sets => _genome.Filters.Count + 1;

    private bool NeedsBase => _search.BaseModel is { } origin && !_search.Models.Contains(origin);

    /// <inheritdoc/>
    public string Write(IReadOnlyList<double> values)
    {
        var normalize = _genome.Normalize ?? _genome.Method is "ties" or "dare_ties" or "linear";
        var hasNormalize = MethodCatalog.Find(_genome.Method)!.Description.Parameters.Any(parameter => parameter.Name == "normalize");
        var smooth = _genome.Smooth && _genome.Method != "slerp";
        return YamlWriter.Write(_yaml.Map(
            ("merge_method", _yaml.Text(_genome.Method)),
            ("base_model", _search.BaseModel is { } origin && _genome.Method != "slerp" ? _yaml.Model(origin) : null),
            ("slices", smooth ? null : _yaml.List(Enumerable.Range(0, _groups).Select(group => _genome.Method == "slerp" ? SlerpSlice(values, group) : Slice(values, group)))),
            ("models", smooth ? _yaml.List(_search.Models.Select((model, i) => Source(model, null, Parameters(parameter => Curve(values, i, parameter)))).Concat(NeedsBase ? [Source(_search.BaseModel!, null, null)] : [])) : null),
            ("parameters", hasNormalize ? _yaml.Map(("normalize", _yaml.Flag(normalize))) : null),
            ("tokenizer_source", _genome.TokenizerSource is { } source ? _yaml.Text(source) : null),
            ("dtype", _yaml.Text("bfloat16")),
            ("out_dtype", _search.OutDType is { } type ? _yaml.Text(Numerics.DTypes.TorchName(type)) : null)));
    }

    private SearchVariable Variable(string name, string parameter, SearchRandom random)
    {
        var (low, high) = parameter == "density" ? (LeastDensity, 1) : (_genome.AllowNegativeWeights ? -GreatestWeight : 0, GreatestWeight);
        var start = _genome.RandomInit ? Math.Max(low, random.Uniform()) : parameter == "density" ? 1 : 1.0 / _search.Models.Count;
        return new SearchVariable(name, low, high, start);
    }

    private double Value(IReadOnlyList<double> values, int group, int model, int set, int parameter) =>
        values[(((((group * _search.Models.Count) + model) * Sets) + set) * _parameters.Length) + parameter];

    private YamlMapping Slice(IReadOnlyList<double> values, int group)
    {
        var sources = _search.Models.Select((model, i) => Source(model, group, Parameters(parameter => set => _yaml.Number(Value(values, group, i, set, parameter)))));
        return _yaml.Map(("sources", _yaml.List(sources.Concat(NeedsBase ? [Source(_search.BaseModel!, group, null)] : []))));
    }

    private YamlMapping SlerpSlice(IReadOnlyList<double> values, int group)
    {
        var ranked = Enumerable.Range(0, _search.Models.Count).OrderByDescending(i => Value(values, group, i, 0, 0)).Take(2).ToArray();
        var t = 1 / (1 + Math.Exp(Value(values, group, ranked[0], 0, 0) - Value(values, group, ranked[1], 0, 0)));
        return _yaml.Map(
            ("sources", _yaml.List(ranked.Select(i => Source(_search.Models[i], group, null)))),
            ("base_model", _yaml.Model(_search.Models[ranked[0]])),
            ("parameters", _yaml.Map(("t", _yaml.Number(t)))));
    }

    private Func<int, YamlNode> Curve(IReadOnlyList<double> values, int model, int parameter) => set => _groups == 1
        ? _yaml.Number(Value(values, 0, model, set, parameter))
        : _yaml.List(Enumerable.Range(0, _groups).Select(group => _yaml.Number(Value(values, group, model, set, parameter))));

    private YamlMapping Parameters(Func<int, Func<int, YamlNode>> valueOf) => _yaml.Map([.. _parameters.Select((name, parameter) => (name, (YamlNode?)Conditions(valueOf(parameter))))]);

    private YamlNode Conditions(Func<int, YamlNode> valueOf) => Sets == 1 ? valueOf(0)
        : _yaml.List(Enumerable.Range(0, Sets).Select(set => _yaml.Map(("filter", set < _genome.Filters.Count ? _yaml.Text(_genome.Filters[set]) : null), ("value", valueOf(set)))));

    private YamlMapping Source(ModelReference model, int? group, YamlNode? parameters)
    {
        var step = _layers / _groups;
        return _yaml.Map(
            ("model", _yaml.Model(model)),
            ("layer_range", group is { } index ? _yaml.List([_yaml.Number(index * step), _yaml.Number((index + 1) * step)]) : null),
            ("parameters", parameters));
    }
}
