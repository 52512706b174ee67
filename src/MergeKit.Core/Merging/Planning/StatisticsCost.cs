using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>What it costs to record statistics.</summary>
public static class StatisticsCost
{
    /// <summary>The cost in a sentence. A forward pass takes some 2 operations a parameter and token, the way back 4 more; the sums of input products
    /// take 2 per element of a layer's in x in matrix; gradients and the sums of their squares 8 bytes a parameter.</summary>
    public static string Of(StatisticsKind kind, LoadedModel model, StatisticsRequest request)
    {
        var parameters = model.Checkpoint.Tensors.Where(tensor => tensor.DType.IsFloat()).Sum(tensor => tensor.ElementCount);
        var passes = request.PerToken ? request.Window : 1;
        var cost = kind == StatisticsKind.PerElement
            ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"up to {(2.0 + 4.0 * passes) * parameters * request.MaxTokens:0.0e0} operations on the CPU, {8.0 * parameters / 1e6:N0} MB of gradients beside the weights")
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"up to {2.0 * parameters * request.MaxTokens:0.0e0} operations on the CPU for the passes, and as many again for products of the widest inputs");
        return $"model '{model}': statistics of up to {request.MaxTokens:N0} tokens of {string.Join(", ", request.Data.Select(Path.GetFileName))} take {cost}";
    }
}
