using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Tests.Search;

/// <summary>Candidates without models: a recipe's loss is a function of its weights, with a part of its own for every item. A recipe whose first weight is
/// <see cref="Broken"/> cannot be built.</summary>
internal sealed class Landscape(Func<IReadOnlyList<double>, double> loss, double itemNoise = 0) : ICandidateModels
{
    public const double Broken = 0.123;

    /// <summary>The weights of the recipe that was built last.</summary>
    public double[] Weights { get; private set; } = [];

    /// <summary>Recipes built.</summary>
    public int Built { get; private set; }

    /// <summary>Items scored.</summary>
    public int Items { get; private set; }

    public int Layers => 4;

    public EvaluatedModel Build(string name, string yaml)
    {
        Built++;
        var recipe = RecipeReader.Parse("candidate", yaml)[0];
        Weights = [.. recipe.Modules[0].Slices[0].Sources.Select(source => source.Parameters.Resolve("weight", "x", 0) ?? 0)];
        return Weights[0] == Broken ? throw new InputException("this one is broken") : null!;
    }

    /// <summary>A set of items.</summary>
    public TuningSet Set(string name, int count, double weight = 1, Func<IReadOnlyList<double>, double>? other = null) => new Sets(this, name, count, weight, other ?? loss);

    private sealed class Sets(Landscape world, string name, int count, double weight, Func<IReadOnlyList<double>, double> loss)
        : TuningSet(name, "bits_per_byte", higherIsBetter: false, weight, [.. Enumerable.Range(0, count).Select(i => 10.0 + (i % 3))])
    {
        public override void Score(EvaluatedModel model, IReadOnlyList<int> items, Span<double> numerators, CancellationToken cancellation)
        {
            world.Items += items.Count;
            for (var i = 0; i < items.Count; i++)
                numerators[i] = Denominators[items[i]] * (loss(world.Weights) + (world.Noise(items[i]) * (1 + world.Weights.Sum())));
        }
    }

    /// <summary>The item's own part, the same for every candidate but for a factor.</summary>
    private double Noise(int item)
    {
        var word = new uint[1];
        new CounterRandom(5, "item", 0).Fill(item, word);
        return itemNoise * ((word[0] / (double)uint.MaxValue) - 0.5);
    }

    public static SearchRecipe Document(string yaml) => Assert.IsType<SearchRecipe>(RecipeReader.ParseDocuments("search.yml", yaml)[0]);

    /// <summary>A search over so many weights from 0 to 1.</summary>
    public static SearchRecipe Free(string kind, int weights, string more = "") => Document($$"""
        search: {{kind}}
        recipe:
          merge_method: task_arithmetic
          base_model: base
          models:
        {{string.Join('\n', Enumerable.Range(0, weights).Select(i => $"  - {{model: m{i}, parameters: {{weight: {{search: [0, 1], start: 0.5, steps: 3}}}}}}"))}}
        tune: [{data: a.txt}, {data: b.txt}]
        {{more}}
        """);

    public SearchOutcome Run(SearchRecipe search, string journal, IReadOnlyList<TuningSet> sets, Action<Trial>? report = null, IReadOnlyList<double>? controls = null, CancellationToken? stop = null)
    {
        using var trials = TrialJournal.Open(journal, search.Yaml);
        return SearchRunner.Run(search, this, sets, controls ?? [.. sets.Select(_ => 0.0)], trials, report, stop ?? TestContext.Current.CancellationToken);
    }
}
