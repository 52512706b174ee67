using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search.Tuning;

/// <summary>A data set prepared for scoring many candidates that share a tokenizer. Its loss is a ratio of sums over items, the lower the better.</summary>
/// <param name="name">What to call it.</param>
/// <param name="metric">The metric.</param>
/// <param name="higherIsBetter">Whether the metric is 1 - loss.</param>
/// <param name="weight">Its share in the objective; 0 for data that only control.</param>
/// <param name="denominators">Per item: bytes of text, or 1.</param>
public abstract class TuningSet(string name, string metric, bool higherIsBetter, double weight, double[] denominators)
{
    /// <summary>What to call it.</summary>
    public string Name { get; } = name;

    /// <summary>The metric.</summary>
    public string Metric { get; } = metric;

    /// <summary>Whether the metric is 1 - loss.</summary>
    public bool HigherIsBetter { get; } = higherIsBetter;

    /// <summary>Its share in the objective.</summary>
    public double Weight { get; } = weight;

    /// <summary>Per item the denominator of the loss.</summary>
    public IReadOnlyList<double> Denominators { get; } = denominators;

    /// <summary>Number of items.</summary>
    public int Count => Denominators.Count;

    /// <summary>The metric that a loss means.</summary>
    public double Value(double loss) => HigherIsBetter ? 1 - loss : loss;

    /// <summary>Writes the numerators of some items' losses; not finite where the model gives no finite number.</summary>
    public abstract void Score(EvaluatedModel model, IReadOnlyList<int> items, Span<double> numerators, CancellationToken cancellation);
}
