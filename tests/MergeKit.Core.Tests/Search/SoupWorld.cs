using MergeKit.Core.Evaluation;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Tests.Search;

/// <summary>Models that are places on a line: a mean stands at the mean place, and its loss is 1 plus its squared distance from 0. Items add a part of their
/// own, most of it the same for all candidates.</summary>
internal sealed class SoupWorld(IReadOnlyDictionary<string, double> places, double noise = 0) : ICandidateModels
{
    private readonly double _noise = noise;
    private double _place;

    /// <summary>Items scored.</summary>
    public int Items { get; private set; }

    public int Layers => 4;

    public EvaluatedModel Build(string name, string yaml)
    {
        var sources = RecipeReader.Parse("c", yaml)[0].Modules[0].Slices[0].Sources;
        double Weight(RecipeSource source) => source.Parameters.Resolve("weight", "", 0)!.Value;
        _place = sources.Sum(source => Weight(source) * places[source.Model.Path]) / sources.Sum(Weight);
        return null!;
    }

    public TuningSet Set(int count) => new Distance(this, count);

    private sealed class Distance(SoupWorld world, int count) : TuningSet("a", "bits_per_byte", false, 1, [.. Enumerable.Repeat(1.0, count)])
    {
        public override void Score(EvaluatedModel model, IReadOnlyList<int> items, Span<double> numerators, CancellationToken cancellation)
        {
            world.Items += items.Count;
            for (var i = 0; i < items.Count; i++)
                numerators[i] = 1 + (world._place * world._place) + (world._noise * (Math.Sin(37.1 * (items[i] + 1)) + (0.3 * Math.Sin(91.7 * (items[i] + 1) * (1 + world._place)))));
        }
    }
}
